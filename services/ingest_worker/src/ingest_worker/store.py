"""The SQL of the hot path: days made ahead, and a batch of readings stored and counted in one statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.events import Reading
    from pulse_common.tenancy import Tx

DAYS_AHEAD = 7


@dataclass(frozen=True, slots=True)
class Stored:
    """``rows`` were new; ``known`` are the devices, of those that sent something, that exist in their tenant."""

    rows: int
    known: frozenset[tuple[UUID, UUID]]


async def ensure_partitions(tx: Tx) -> int:
    """Return how many days were prepared."""
    row = await tx.one("SELECT ensure_telemetry_partitions(%(days)s) AS made", {"days": DAYS_AHEAD})
    made: int = row["made"]
    return made


async def store_readings(tx: Tx, readings: Sequence[Reading]) -> Stored:
    """Store and count what is of devices that exist and is new; show each device's newest reading as its last.

    One statement with one parameter: arrays of a batch's columns cost psycopg more than PostgreSQL needs for all of it,
    and COPY refuses roles that row-level security binds.  Sorted, so that two replicas that store the same rows after a
    redelivery wait for each other instead of locking each other out.  Neither last state nor "last seen" goes back.
    """
    row = await tx.one(
        """
        WITH sent AS MATERIALIZED (
            SELECT tenant_id, device_id, ts, message_id, metrics, received_at
              FROM json_to_recordset(%(readings)s::json)
                   AS r (tenant_id uuid, device_id uuid, ts timestamptz, message_id uuid, metrics jsonb,
                         received_at timestamptz)
        ), known AS MATERIALIZED (
            SELECT tenant_id, device_id
              FROM (SELECT DISTINCT tenant_id, device_id FROM sent) s
              JOIN devices d USING (tenant_id, device_id)
        ), stored AS (
            INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)
            SELECT tenant_id, device_id, ts, message_id, metrics, received_at
              FROM sent JOIN known USING (tenant_id, device_id)
             ORDER BY tenant_id, device_id, ts, message_id
                ON CONFLICT DO NOTHING
            RETURNING tenant_id, ts
        ), counted AS (
            INSERT INTO billing_usage AS u (tenant_id, metric, day, amount)
            SELECT tenant_id, 'messages', (ts AT TIME ZONE 'UTC')::date, count(*)
              FROM stored
             GROUP BY 1, 3
             ORDER BY 1, 3
                ON CONFLICT (tenant_id, metric, day) DO UPDATE SET amount = u.amount + excluded.amount
        ), shown AS (
            INSERT INTO device_last_state AS s (tenant_id, device_id, last_seen_at, ts, metrics)
            SELECT DISTINCT ON (tenant_id, device_id)
                   tenant_id, device_id, max(received_at) OVER (PARTITION BY tenant_id, device_id), ts, metrics
              FROM sent JOIN known USING (tenant_id, device_id)
             ORDER BY tenant_id, device_id, ts DESC, received_at DESC
                ON CONFLICT (tenant_id, device_id) DO UPDATE
               SET last_seen_at = greatest(s.last_seen_at, excluded.last_seen_at),
                   ts = greatest(s.ts, excluded.ts),
                   metrics = CASE WHEN excluded.ts > s.ts THEN excluded.metrics ELSE s.metrics END
             WHERE excluded.ts > s.ts OR excluded.last_seen_at > s.last_seen_at
        )
        SELECT (SELECT count(*) FROM stored) AS rows,
               (SELECT array_agg(tenant_id) FROM known) AS tenants,
               (SELECT array_agg(device_id) FROM known) AS devices
        """,
        {"readings": f"[{','.join(reading.model_dump_json() for reading in readings)}]"},
    )
    known = zip(row["tenants"] or (), row["devices"] or (), strict=True)
    return Stored(row["rows"], frozenset(known))
