"""The SQL of credentials that seem to be in two places."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from mqtt_authz.conflicts import Conflict
    from pulse_common.tenancy import Tx

MOST_OF_A_DEVICE = 20
"""Pairs that are kept; whoever holds a key cannot fill the table by coming from ever new addresses."""

_ADD = """
    INSERT INTO session_conflicts (tenant_id, device_id, serial_number, address, other_address, first_at, last_at,
                                   times)
    SELECT r.tenant_id, r.device_id, r.serial_number, r.address, r.other_address, %(now)s, %(now)s, r.times
      FROM jsonb_to_recordset(%(rows)s::jsonb)
           AS r (tenant_id uuid, device_id uuid, serial_number text, address text, other_address text, times integer)
      JOIN devices d ON d.tenant_id = r.tenant_id AND d.device_id = r.device_id
     WHERE NOT EXISTS (SELECT FROM session_conflicts s
                        WHERE s.tenant_id = r.tenant_id AND s.device_id = r.device_id
                       OFFSET %(most)s)
    ON CONFLICT (tenant_id, device_id, serial_number, address, other_address)
    DO UPDATE SET last_at = excluded.last_at, times = least(session_conflicts.times::bigint + excluded.times, 1000000)
"""
_DELETE_OLD = (
    "DELETE FROM session_conflicts WHERE last_at < now() - make_interval(days => %(days)s)"
)


async def add(tx: Tx, noticed: Mapping[Conflict, int], now: datetime) -> None:
    """Write many tenants' conflicts at once; those of devices that do not exist are left out."""
    rows = [
        {
            "tenant_id": str(one.tenant),
            "device_id": str(one.device),
            "serial_number": one.serial_number,
            "address": one.address,
            "other_address": one.other_address,
            "times": times,
        }
        for one, times in noticed.items()
    ]
    values = {"rows": json.dumps(rows), "now": now, "most": MOST_OF_A_DEVICE - 1}
    await tx.execute(_ADD, values)


async def delete_old(tx: Tx, days: int) -> int:
    return await tx.execute(_DELETE_OLD, {"days": days})
