"""The SQL of what the clock asks: who is silent, what nothing stands behind any more, and what is to be mailed."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime, timedelta
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx, Tx

MOST_AT_ONCE = 500
"""Of a tenant in one look; the next one is seconds away."""

_IN_SCOPE: LiteralString = """
    (cardinality(r.device_ids) = 0 AND cardinality(r.group_ids) = 0 OR d.device_id = ANY (r.device_ids)
     OR EXISTS (SELECT FROM device_group_members m
                 WHERE m.tenant_id = r.tenant_id AND m.device_id = d.device_id AND m.group_id = ANY (r.group_ids)))
"""
# Silence is counted from the last of: what arrived, the rule as it is now, and the moment since which we can see.
_SILENT: LiteralString = f"""
      FROM alert_rules r
      JOIN devices d ON d.tenant_id = r.tenant_id AND d.status = 'active'
      JOIN device_last_state s ON (s.tenant_id, s.device_id) = (d.tenant_id, d.device_id)
     WHERE r.kind = 'absence' AND r.enabled AND (%(tenant)s::uuid IS NULL OR r.tenant_id = %(tenant)s)
       AND greatest(s.last_seen_at, r.watching_since, %(seeing_since)s)
           < %(now)s::timestamptz - make_interval(secs => r.silent_seconds)
       AND {_IN_SCOPE}
       AND NOT EXISTS (SELECT FROM alerts a
                        WHERE (a.tenant_id, a.rule_id, a.device_id) = (r.tenant_id, r.rule_id, d.device_id)
                          AND a.cleared_at IS NULL)
"""
_OPEN: LiteralString = f"""
    SELECT a.tenant_id, a.alert_id,
           CASE WHEN d.device_id IS NULL THEN 'device_gone'
                WHEN r.rule_id IS NULL OR NOT {_IN_SCOPE} THEN 'rule_changed'
                ELSE 'recovered' END AS reason
      FROM alerts a
      LEFT JOIN devices d ON (d.tenant_id, d.device_id) = (a.tenant_id, a.device_id) AND d.status = 'active'
      LEFT JOIN alert_rules r ON (r.tenant_id, r.rule_id) = (a.tenant_id, a.rule_id) AND r.enabled
      LEFT JOIN device_last_state s ON (s.tenant_id, s.device_id) = (a.tenant_id, a.device_id)
     WHERE a.cleared_at IS NULL AND (%(tenant)s::uuid IS NULL OR a.tenant_id = %(tenant)s)
       AND (d.device_id IS NULL OR r.rule_id IS NULL OR NOT {_IN_SCOPE}
            OR r.kind = 'absence'
               AND s.last_seen_at >= %(now)s::timestamptz - make_interval(secs => r.silent_seconds))
"""  # noqa: S608 -- made of literals


async def take_turn(tx: Tx) -> bool:
    """Be the only replica that looks, until the transaction ends."""
    row = await tx.one("SELECT pg_try_advisory_xact_lock(hashtext('pulse.alerts.silence')) AS held")
    return bool(row["held"])


async def look(tx: Tx, now: datetime, longest_gap: timedelta) -> datetime:
    """Note that somebody looks, and return since when nobody was blind: a gap, or a clock set back, begins anew."""
    row = await tx.one(
        """
        INSERT INTO alert_watch AS w (name, looked_at, seeing_since) VALUES ('absence', %(now)s, %(now)s)
            ON CONFLICT (name) DO UPDATE
           SET looked_at = excluded.looked_at,
               seeing_since = CASE WHEN excluded.looked_at < w.looked_at
                                     OR excluded.looked_at - w.looked_at > %(gap)s
                                   THEN excluded.looked_at ELSE w.seeing_since END
        RETURNING seeing_since
        """,
        {"now": now, "gap": longest_gap},
    )
    since: datetime = row["seeing_since"]
    return since


async def list_tenants(tx: Tx, now: datetime, seeing_since: datetime) -> list[UUID]:
    """Name the tenants for which something is to be raised or cleared."""
    rows = await tx.all(
        f"SELECT r.tenant_id {_SILENT} UNION SELECT o.tenant_id FROM ({_OPEN}) o",  # noqa: S608 -- literals
        {"now": now, "seeing_since": seeing_since, "tenant": None},
    )
    return [row["tenant_id"] for row in rows]


async def raise_silent(tx: TenantTx, now: datetime, seeing_since: datetime) -> Sequence[Row]:
    return await tx.all(
        f"""
        INSERT INTO alerts (tenant_id, alert_id, rule_id, rule_name, kind, device_id, raised_at, told_at)
        SELECT r.tenant_id, gen_random_uuid(), r.rule_id, r.name, r.kind, d.device_id, %(now)s,
               CASE WHEN NOT r.by_mail THEN %(now)s::timestamptz END
          {_SILENT}
         LIMIT %(most)s
            ON CONFLICT (tenant_id, rule_id, device_id) WHERE cleared_at IS NULL DO NOTHING
        RETURNING alert_id, rule_id, rule_name AS rule, kind, device_id, metric, value, raised_at
        """,
        {"tenant": tx.tenant, "now": now, "seeing_since": seeing_since, "most": MOST_AT_ONCE},
    )


async def clear_moot(tx: TenantTx, now: datetime) -> Sequence[Row]:
    """Clear what was heard of again, and what no rule, group or device stands behind any more."""
    return await tx.all(
        f"""
        UPDATE alerts a SET cleared_at = greatest(%(now)s, a.raised_at), clear_reason = o.reason
          FROM ({_OPEN} LIMIT %(most)s) o
         WHERE (a.tenant_id, a.alert_id) = (o.tenant_id, o.alert_id)
        RETURNING a.alert_id, a.rule_id, a.rule_name AS rule, a.kind, a.device_id, a.metric, a.raised_at, a.cleared_at,
                  a.clear_reason AS reason
        """,  # noqa: S608 -- made of literals
        {"tenant": tx.tenant, "now": now, "most": MOST_AT_ONCE},
    )


async def list_unmailed(tx: Tx, now: datetime, pause: timedelta) -> list[UUID]:
    """Name the tenants that are to hear of alerts by e-mail now."""
    rows = await tx.all(
        """
        SELECT DISTINCT a.tenant_id
          FROM alerts a
         WHERE a.told_at IS NULL
           AND NOT EXISTS (SELECT FROM alert_rules r WHERE r.tenant_id = a.tenant_id
                                                       AND r.mailed_at > %(now)s::timestamptz - %(pause)s)
        """,
        {"now": now, "pause": pause},
    )
    return [row["tenant_id"] for row in rows]


async def take_unmailed(tx: TenantTx, now: datetime) -> Sequence[Row]:
    """Mark what is to be mailed as told, and return it, rule by rule and oldest first."""
    return await tx.all(
        """
        WITH told AS (
            UPDATE alerts SET told_at = %(now)s WHERE tenant_id = %(tenant)s AND told_at IS NULL
            RETURNING alert_id, rule_id, rule_name, device_id, metric, value, raised_at
        ), mailed AS (
            UPDATE alert_rules SET mailed_at = %(now)s
             WHERE tenant_id = %(tenant)s AND rule_id IN (SELECT t.rule_id FROM told t)
        )
        SELECT t.alert_id, t.rule_id, t.rule_name, t.device_id, t.metric, t.value, t.raised_at, d.name AS device
          FROM told t
          LEFT JOIN devices d ON d.tenant_id = %(tenant)s AND d.device_id = t.device_id
         ORDER BY t.rule_name, t.raised_at, t.alert_id
        """,
        {"tenant": tx.tenant, "now": now},
    )
