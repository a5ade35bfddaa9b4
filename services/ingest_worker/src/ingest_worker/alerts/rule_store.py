"""The SQL of what tenants decide about alerts."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.events_alerts import RuleWanted
    from pulse_common.tenancy import Row, TenantTx


async def count(tx: TenantTx) -> int:
    row = await tx.one(
        "SELECT count(*) AS rules FROM alert_rules WHERE tenant_id = %(tenant)s",
        {"tenant": tx.tenant},
    )
    return int(row["rules"])


async def find_version(tx: TenantTx, rule_id: UUID) -> int | None:
    row = await tx.one_or_none(
        "SELECT version FROM alert_rules WHERE tenant_id = %(tenant)s AND rule_id = %(rule)s FOR UPDATE",
        {"tenant": tx.tenant, "rule": rule_id},
    )
    return None if row is None else int(row["version"])


async def add(tx: TenantTx, rule_id: UUID, wanted: RuleWanted, now: datetime) -> None:
    await tx.execute(
        """
        INSERT INTO alert_rules (tenant_id, rule_id, name, kind, device_ids, group_ids, metric, direction, raise_at,
                                 clear_at, hold_seconds, silent_seconds, by_mail, enabled, created_at, watching_since)
        VALUES (%(tenant)s, %(rule)s, %(name)s, %(kind)s, %(device_ids)s, %(group_ids)s, %(metric)s, %(direction)s,
                %(raise_at)s, %(clear_at)s, %(hold_seconds)s, %(silent_seconds)s, %(by_mail)s, %(enabled)s, %(now)s,
                %(now)s)
        """,
        {"tenant": tx.tenant, "rule": rule_id, "now": now, **wanted.model_dump()},
    )


async def change(tx: TenantTx, rule_id: UUID, wanted: RuleWanted, now: datetime) -> None:
    """Replace a rule; where devices stood with the old one is forgotten."""
    await tx.execute(
        """
        UPDATE alert_rules
           SET name = %(name)s, kind = %(kind)s, device_ids = %(device_ids)s, group_ids = %(group_ids)s,
               metric = %(metric)s, direction = %(direction)s, raise_at = %(raise_at)s, clear_at = %(clear_at)s,
               hold_seconds = %(hold_seconds)s, silent_seconds = %(silent_seconds)s, by_mail = %(by_mail)s,
               enabled = %(enabled)s, watching_since = %(now)s, version = version + 1
         WHERE tenant_id = %(tenant)s AND rule_id = %(rule)s
        """,
        {"tenant": tx.tenant, "rule": rule_id, "now": now, **wanted.model_dump()},
    )
    await tx.execute(
        "DELETE FROM alert_states WHERE tenant_id = %(tenant)s AND rule_id = %(rule)s",
        {"tenant": tx.tenant, "rule": rule_id},
    )


async def delete(tx: TenantTx, rule_id: UUID) -> None:
    await tx.execute(
        "DELETE FROM alert_rules WHERE tenant_id = %(tenant)s AND rule_id = %(rule)s",
        {"tenant": tx.tenant, "rule": rule_id},
    )


async def clear_all(tx: TenantTx, rule_id: UUID, now: datetime) -> Sequence[Row]:
    """Clear whatever the rule has raised."""
    return await tx.all(
        """
        UPDATE alerts SET cleared_at = greatest(%(now)s, raised_at), clear_reason = 'rule_changed'
         WHERE tenant_id = %(tenant)s AND rule_id = %(rule)s AND cleared_at IS NULL
        RETURNING alert_id, rule_id, rule_name AS rule, kind, device_id, metric, raised_at, cleared_at,
                  clear_reason AS reason
        """,
        {"tenant": tx.tenant, "rule": rule_id, "now": now},
    )


async def acknowledge(tx: TenantTx, alert_id: UUID, actor: str, now: datetime) -> Row | None:
    """Return when it was acknowledged, and whether by this very call; None when there is no such alert."""
    return await tx.one_or_none(
        """
        WITH done AS (
            UPDATE alerts SET acknowledged_at = %(now)s, acknowledged_by = %(actor)s
             WHERE tenant_id = %(tenant)s AND alert_id = %(alert)s AND acknowledged_at IS NULL
            RETURNING acknowledged_at
        )
        SELECT coalesce(d.acknowledged_at, a.acknowledged_at) AS at, d.acknowledged_at IS NOT NULL AS is_new
          FROM alerts a LEFT JOIN done d ON true
         WHERE a.tenant_id = %(tenant)s AND a.alert_id = %(alert)s
        """,
        {"tenant": tx.tenant, "alert": alert_id, "actor": actor, "now": now},
    )
