"""Every SQL statement about alerts and their rules; ui_iot reads, ingest_worker writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx
    from ui_iot.telemetry_store import Place


async def list_rules(tx: TenantTx, rule_id: UUID | None = None) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT r.rule_id AS id, r.name, r.kind, r.device_ids, r.group_ids, r.metric, r.direction, r.raise_at,
               r.clear_at, r.hold_seconds, r.silent_seconds, r.by_mail, r.enabled, r.created_at, r.version,
               (SELECT count(*) FROM alerts a WHERE a.tenant_id = r.tenant_id AND a.rule_id = r.rule_id
                                                AND a.cleared_at IS NULL) AS raised
          FROM alert_rules r
         WHERE r.tenant_id = %(tenant)s AND (%(rule)s::uuid IS NULL OR r.rule_id = %(rule)s)
         ORDER BY r.name, r.rule_id
         LIMIT 1000
        """,
        {"tenant": tx.tenant, "rule": rule_id},
    )


async def list_alerts(
    tx: TenantTx,
    *,
    state: str | None,
    rule_id: UUID | None,
    device_id: UUID | None,
    after: Place | None,
    limit: int,
) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT a.alert_id AS id, a.rule_id, a.rule_name AS rule, a.kind, a.device_id, d.name AS device, a.metric,
               a.value, a.raised_at, a.cleared_at, a.clear_reason, a.acknowledged_at, a.acknowledged_by
          FROM alerts a
          LEFT JOIN devices d ON (d.tenant_id, d.device_id) = (a.tenant_id, a.device_id)
         WHERE a.tenant_id = %(tenant)s
           AND (%(state)s::text IS NULL OR (a.cleared_at IS NULL) = (%(state)s = 'open'))
           AND (%(rule)s::uuid IS NULL OR a.rule_id = %(rule)s)
           AND (%(device)s::uuid IS NULL OR a.device_id = %(device)s)
           AND (%(at)s::timestamptz IS NULL OR (a.raised_at, a.alert_id) < (%(at)s, %(id)s))
         ORDER BY a.raised_at DESC, a.alert_id DESC
         LIMIT %(limit)s
        """,
        {
            "tenant": tx.tenant,
            "state": state,
            "rule": rule_id,
            "device": device_id,
            "at": after.at if after else None,
            "id": after.id if after else None,
            "limit": limit,
        },
    )
