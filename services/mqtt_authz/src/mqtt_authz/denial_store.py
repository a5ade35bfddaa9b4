"""The SQL of refusals: those of many tenants in one statement, and the end of old ones."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mqtt_authz.denials import Row
    from pulse_common.tenancy import Tx

# COPY refuses tables with row-level security, so the rows come as one JSON value.
_INSERT = """
    INSERT INTO broker_denials (tenant_id, denial_id, device_id, at, action, reason, rule, topic, serial_number,
                                address, times)
    SELECT r.tenant_id, r.denial_id, r.device_id, r.at, r.action, r.reason, r.rule, r.topic, r.serial_number, r.address,
           r.times
      FROM jsonb_to_recordset(%(rows)s::jsonb)
           AS r (tenant_id uuid, denial_id uuid, device_id uuid, at timestamptz, action text, reason text, rule text,
                 topic text, serial_number text, address text, times integer)
      JOIN devices d ON d.tenant_id = r.tenant_id AND d.device_id = r.device_id
"""
_DELETE_OLD = "DELETE FROM broker_denials WHERE at < now() - make_interval(days => %(days)s)"


async def insert(tx: Tx, rows: Sequence[Row]) -> int:
    """Write many tenants' refusals at once; those of devices that do not exist are left out."""
    values = [
        {
            "tenant_id": str(row.denial.tenant),
            "denial_id": str(new_id()),
            "device_id": str(row.denial.device),
            "at": row.at.isoformat(),
            "action": row.denial.action,
            "reason": row.denial.reason.value,
            "rule": row.denial.rule,
            "topic": row.denial.topic,
            "serial_number": row.denial.serial_number,
            "address": row.denial.address,
            "times": row.times,
        }
        for row in rows
    ]
    return await tx.execute(_INSERT, {"rows": json.dumps(values)})


async def delete_old(tx: Tx, days: int) -> int:
    return await tx.execute(_DELETE_OLD, {"days": days})
