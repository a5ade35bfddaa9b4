"""The SQL of alert rules as they are judged by: what holds, where devices stand, and what is raised and cleared."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from ingest_worker.alerts.rules import Rule, Standing, Value
from pulse_common import device_groups
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence
    from datetime import datetime

    from ingest_worker.alerts.rules import Change
    from pulse_common.tenancy import Row, TenantTx, Tx

MOST_OPEN = 10_000
MOST_KEPT = 10_000
Pair = tuple[UUID, UUID, UUID]
"""Tenant, rule, device."""


@dataclass(frozen=True, slots=True)
class Judged:
    pair: Pair
    rule: Rule
    standing: Standing
    changes: Sequence[Change]


async def lock(tx: TenantTx) -> None:
    """Let one transaction at a time change what is raised of a tenant; readings are stored meanwhile."""
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('pulse.alerts.' || %(tenant)s, 0))",
        {"tenant": str(tx.tenant)},
    )


async def list_rules(tx: Tx, tenants: Collection[UUID]) -> list[Rule]:
    """Return the enabled rules on metrics of these tenants."""
    rows = await tx.all(
        """
        SELECT tenant_id, rule_id, version, kind, metric, direction, raise_at, clear_at, hold_seconds, device_ids,
               group_ids
          FROM alert_rules
         WHERE tenant_id = ANY (%(tenants)s::uuid[]) AND enabled AND kind <> 'absence'
        """,
        {"tenants": list(tenants)},
    )
    groups: dict[UUID, set[UUID]] = {}
    for row in rows:
        groups.setdefault(row["tenant_id"], set()).update(row["group_ids"])
    members = {
        tenant: await device_groups.members_of(tx, tenant, wanted)
        for tenant, wanted in groups.items()
        if wanted
    }
    return [_rule(row, members.get(row["tenant_id"], {})) for row in rows]


def _rule(row: Row, members: Mapping[UUID, frozenset[UUID]]) -> Rule:
    devices = frozenset(row["device_ids"])
    for group in row["group_ids"]:
        devices |= members.get(group, frozenset())
    return Rule(
        tenant_id=row["tenant_id"],
        rule_id=row["rule_id"],
        version=row["version"],
        kind=row["kind"],
        metric=row["metric"],
        direction=row["direction"],
        raise_at=row["raise_at"],
        clear_at=row["clear_at"],
        hold=timedelta(seconds=row["hold_seconds"]),
        of_all=not row["device_ids"] and not row["group_ids"],
        devices=devices,
    )


async def find_standings(tx: Tx, pairs: Sequence[Pair]) -> dict[Pair, Standing]:
    rows = await tx.all(
        """
        SELECT p.tenant_id, p.rule_id, p.device_id, s.pending_since, s.changed_ts, s.last_ts, s.last_value,
               a.alert_id IS NOT NULL AS raised
          FROM unnest(%(tenants)s::uuid[], %(rules)s::uuid[], %(devices)s::uuid[])
               AS p (tenant_id, rule_id, device_id)
          LEFT JOIN alert_states s ON (s.tenant_id, s.rule_id, s.device_id) = (p.tenant_id, p.rule_id, p.device_id)
          LEFT JOIN alerts a ON (a.tenant_id, a.rule_id, a.device_id) = (p.tenant_id, p.rule_id, p.device_id)
                            AND a.cleared_at IS NULL
        """,
        _columns(pairs),
    )
    return {(row["tenant_id"], row["rule_id"], row["device_id"]): _standing(row) for row in rows}


def _standing(row: Row) -> Standing:
    last = None if row["last_ts"] is None else Value(row["last_ts"], row["last_value"])
    return Standing(
        raised=row["raised"],
        pending_since=row["pending_since"],
        changed_ts=row["changed_ts"],
        last=last,
    )


async def save_standings(tx: Tx, judged: Sequence[Judged]) -> None:
    """Write where devices stand now; of rules and devices that are gone meanwhile nothing is kept."""
    ordered = sorted(judged, key=lambda one: one.pair)
    lasts = [one.standing.last for one in ordered]
    await tx.execute(
        """
        INSERT INTO alert_states AS s (tenant_id, rule_id, device_id, pending_since, changed_ts, last_ts, last_value)
        SELECT n.tenant_id, n.rule_id, n.device_id, n.pending_since, n.changed_ts, n.last_ts, n.last_value
          FROM unnest(%(tenants)s::uuid[], %(rules)s::uuid[], %(devices)s::uuid[], %(pending)s::timestamptz[],
                      %(changed)s::timestamptz[], %(last_ts)s::timestamptz[], %(last_values)s::float8[])
               WITH ORDINALITY
               AS n (tenant_id, rule_id, device_id, pending_since, changed_ts, last_ts, last_value, place)
          JOIN alert_rules r ON (r.tenant_id, r.rule_id) = (n.tenant_id, n.rule_id)
          JOIN devices d ON (d.tenant_id, d.device_id) = (n.tenant_id, n.device_id)
         ORDER BY n.place
            ON CONFLICT (tenant_id, rule_id, device_id) DO UPDATE
           SET pending_since = excluded.pending_since,
               changed_ts = greatest(s.changed_ts, excluded.changed_ts),
               last_ts = greatest(s.last_ts, excluded.last_ts),
               last_value = CASE WHEN s.last_ts > excluded.last_ts THEN s.last_value ELSE excluded.last_value END
        """,
        {
            **_columns([one.pair for one in ordered]),
            "pending": [one.standing.pending_since for one in ordered],
            "changed": [one.standing.changed_ts for one in ordered],
            "last_ts": [None if last is None else last.ts for last in lasts],
            "last_values": [None if last is None else last.value for last in lasts],
        },
    )


async def save_lasts(tx: Tx, judged: Sequence[Judged]) -> None:
    """Write what the next rate is measured from, and nothing else: no lock is held here."""
    ordered = sorted(judged, key=lambda one: one.pair)
    lasts = [one.standing.last for one in ordered]
    await tx.execute(
        """
        INSERT INTO alert_states AS s (tenant_id, rule_id, device_id, last_ts, last_value)
        SELECT n.tenant_id, n.rule_id, n.device_id, n.last_ts, n.last_value
          FROM unnest(%(tenants)s::uuid[], %(rules)s::uuid[], %(devices)s::uuid[], %(last_ts)s::timestamptz[],
                      %(last_values)s::float8[])
               WITH ORDINALITY AS n (tenant_id, rule_id, device_id, last_ts, last_value, place)
          JOIN alert_rules r ON (r.tenant_id, r.rule_id) = (n.tenant_id, n.rule_id)
          JOIN devices d ON (d.tenant_id, d.device_id) = (n.tenant_id, n.device_id)
         ORDER BY n.place
            ON CONFLICT (tenant_id, rule_id, device_id) DO UPDATE
           SET last_ts = excluded.last_ts, last_value = excluded.last_value
         WHERE s.last_ts IS NULL OR s.last_ts < excluded.last_ts
        """,
        {
            **_columns([one.pair for one in ordered]),
            "last_ts": [None if last is None else last.ts for last in lasts],
            "last_values": [None if last is None else last.value for last in lasts],
        },
    )


async def raise_alerts(
    tx: TenantTx, raised: Sequence[tuple[Rule, UUID, Change]], now: datetime
) -> Sequence[Row]:
    """Raise what is not raised yet, of rules that are still as they were judged by and devices that count."""
    room = await tx.one(
        "SELECT count(*) AS open FROM alerts WHERE tenant_id = %(tenant)s AND cleared_at IS NULL",
        {"tenant": tx.tenant},
    )
    taken = raised[: max(0, MOST_OPEN - room["open"])]
    return await tx.all(
        """
        INSERT INTO alerts (tenant_id, alert_id, rule_id, rule_name, kind, device_id, metric, value, raised_at, told_at)
        SELECT r.tenant_id, n.alert_id, r.rule_id, r.name, r.kind, d.device_id, r.metric, n.value, n.raised_at,
               CASE WHEN NOT r.by_mail THEN %(now)s::timestamptz END
          FROM unnest(%(alerts)s::uuid[], %(rules)s::uuid[], %(versions)s::integer[], %(devices)s::uuid[],
                      %(values)s::float8[], %(times)s::timestamptz[])
               AS n (alert_id, rule_id, version, device_id, value, raised_at)
          JOIN alert_rules r ON r.tenant_id = %(tenant)s AND r.rule_id = n.rule_id AND r.version = n.version
          JOIN devices d ON d.tenant_id = r.tenant_id AND d.device_id = n.device_id AND d.status = 'active'
            ON CONFLICT (tenant_id, rule_id, device_id) WHERE cleared_at IS NULL DO NOTHING
        RETURNING alert_id, rule_id, rule_name AS rule, kind, device_id, metric, value, raised_at
        """,
        {
            "tenant": tx.tenant,
            "now": now,
            "alerts": [new_id() for _ in taken],
            "rules": [rule.rule_id for rule, _, _ in taken],
            "versions": [rule.version for rule, _, _ in taken],
            "devices": [device for _, device, _ in taken],
            "values": [change.value for _, _, change in taken],
            "times": [change.ts for _, _, change in taken],
        },
    )


async def clear_recovered(
    tx: TenantTx, cleared: Sequence[tuple[Rule, UUID, Change]]
) -> Sequence[Row]:
    return await tx.all(
        """
        UPDATE alerts a SET cleared_at = greatest(n.cleared_at, a.raised_at), clear_reason = 'recovered'
          FROM unnest(%(rules)s::uuid[], %(devices)s::uuid[], %(times)s::timestamptz[])
               AS n (of_rule, of_device, cleared_at)
         WHERE a.tenant_id = %(tenant)s AND a.rule_id = n.of_rule AND a.device_id = n.of_device
           AND a.cleared_at IS NULL
        RETURNING a.alert_id, a.rule_id, a.rule_name AS rule, a.kind, a.device_id, a.metric, a.raised_at, a.cleared_at,
                  a.clear_reason AS reason
        """,
        {
            "tenant": tx.tenant,
            "rules": [rule.rule_id for rule, _, _ in cleared],
            "devices": [device for _, device, _ in cleared],
            "times": [change.ts for _, _, change in cleared],
        },
    )


async def forget_old(tx: TenantTx) -> None:
    """Keep the newest 10,000 alerts of the tenant, and whatever is open."""
    await tx.execute(
        """
        DELETE FROM alerts
         WHERE tenant_id = %(tenant)s AND cleared_at IS NOT NULL
           AND (raised_at, alert_id) < (SELECT raised_at, alert_id FROM alerts WHERE tenant_id = %(tenant)s
                                         ORDER BY raised_at DESC, alert_id DESC OFFSET %(most)s LIMIT 1)
        """,
        {"tenant": tx.tenant, "most": MOST_KEPT},
    )


def _columns(pairs: Sequence[Pair]) -> dict[str, list[UUID]]:
    return {
        "tenants": [tenant for tenant, _, _ in pairs],
        "rules": [rule for _, rule, _ in pairs],
        "devices": [device for _, _, device in pairs],
    }
