"""Every SQL statement of this service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.events import Reading
    from pulse_common.tenancy import Tx

DAYS_AHEAD = 7


async def ensure_partitions(tx: Tx) -> int:
    """Return how many days were prepared."""
    row = await tx.one("SELECT ensure_telemetry_partitions(%(days)s) AS made", {"days": DAYS_AHEAD})
    made: int = row["made"]
    return made


async def find_known_devices(tx: Tx, devices: set[tuple[UUID, UUID]]) -> set[tuple[UUID, UUID]]:
    """Return those (tenant, device) pairs that exist; a device of another tenant does not."""
    tenants, ids = zip(*devices, strict=True)
    rows = await tx.all(
        """
        SELECT d.tenant_id, d.device_id
          FROM unnest(%(tenants)s::uuid[], %(devices)s::uuid[]) AS wanted (tenant_id, device_id)
          JOIN devices d USING (tenant_id, device_id)
        """,
        {"tenants": list(tenants), "devices": list(ids)},
    )
    return {(row["tenant_id"], row["device_id"]) for row in rows}


async def insert_readings(tx: Tx, readings: Sequence[Reading]) -> int:
    """Store what is not there yet, and return how many rows that were.

    COPY refuses roles that row-level security binds.  Sorted, so that two replicas that store the same rows after a
    redelivery wait for each other instead of locking each other out.
    """
    return await tx.execute(
        """
        INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)
        SELECT tenant_id, device_id, ts, message_id, metrics::jsonb, received_at
          FROM unnest(%(tenants)s::uuid[], %(devices)s::uuid[], %(ts)s::timestamptz[], %(messages)s::uuid[],
                      %(metrics)s::text[], %(received)s::timestamptz[])
               AS r (tenant_id, device_id, ts, message_id, metrics, received_at)
         ORDER BY tenant_id, device_id, ts, message_id
            ON CONFLICT DO NOTHING
        """,
        _columns(readings),
    )


async def advance_last_state(tx: Tx, readings: Sequence[Reading]) -> None:
    """Show each device's newest reading by its own time; neither that nor "last seen" ever goes back."""
    await tx.execute(
        """
        INSERT INTO device_last_state AS s (tenant_id, device_id, last_seen_at, ts, metrics)
        SELECT DISTINCT ON (tenant_id, device_id)
               tenant_id, device_id, max(received_at) OVER (PARTITION BY tenant_id, device_id), ts, metrics::jsonb
          FROM unnest(%(tenants)s::uuid[], %(devices)s::uuid[], %(ts)s::timestamptz[], %(metrics)s::text[],
                      %(received)s::timestamptz[])
               AS r (tenant_id, device_id, ts, metrics, received_at)
         ORDER BY tenant_id, device_id, ts DESC, received_at DESC
            ON CONFLICT (tenant_id, device_id) DO UPDATE
           SET last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at),
               ts = greatest(s.ts, excluded.ts),
               metrics = CASE WHEN excluded.ts > s.ts THEN excluded.metrics ELSE s.metrics END
         WHERE excluded.ts > s.ts OR excluded.last_seen_at > s.last_seen_at
        """,
        _columns(readings),
    )


def _columns(readings: Sequence[Reading]) -> dict[str, Any]:
    return {
        "tenants": [reading.tenant_id for reading in readings],
        "devices": [reading.device_id for reading in readings],
        "ts": [reading.ts for reading in readings],
        "messages": [reading.message_id for reading in readings],
        "metrics": [json.dumps(reading.metrics, allow_nan=False) for reading in readings],
        "received": [reading.received_at for reading in readings],
    }
