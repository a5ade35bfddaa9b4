"""Every SQL statement about plans, overrides and the limits that follow from them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from billing_webhooks.domain import Override, Plan
from pulse_common.entitlements import LIMITS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.entitlements import Entitlements
    from pulse_common.tenancy import Row, TenantTx, Tx


async def load_plans(tx: Tx) -> dict[str, Plan]:
    rows = await tx.all(
        """
        SELECT plan_id, name, rank, devices, messages_per_second, messages_per_month, retention_days, routes, seats,
               hard_limits, features
          FROM billing_plans
        """
    )
    return {
        row["plan_id"]: Plan(
            plan=row["plan_id"],
            name=row["name"],
            rank=row["rank"],
            hard_limits=row["hard_limits"],
            features=frozenset(row["features"]),
            limits={name: row[name] for name in LIMITS},
        )
        for row in rows
    }


async def live_overrides(tx: TenantTx, now: datetime) -> list[Override]:
    """Return what was granted and has not ended, the newest of each limit last."""
    rows = await tx.all(
        """
        SELECT limit_name, amount
          FROM billing_overrides
         WHERE tenant_id = %(tenant)s AND (expires_at IS NULL OR expires_at > %(now)s)
         ORDER BY created_at, override_id
        """,
        {"tenant": tx.tenant, "now": now},
    )
    return [Override(row["limit_name"], row["amount"]) for row in rows]


async def add_override(
    tx: TenantTx, override_id: UUID, override: Override, grant: Mapping[str, object]
) -> None:
    """``grant`` says expires_at, reason and created_by."""
    await tx.execute(
        """
        INSERT INTO billing_overrides (tenant_id, override_id, limit_name, amount, reason, created_by, expires_at)
        VALUES (%(tenant)s, %(override_id)s, %(limit_name)s, %(amount)s, %(reason)s, %(created_by)s, %(expires_at)s)
        """,
        {
            "tenant": tx.tenant,
            "override_id": override_id,
            "limit_name": override.limit_name,
            "amount": override.amount,
            **grant,
        },
    )


async def apply(
    tx: TenantTx, held: Entitlements, *, cause: str, event_id: str | None, now: datetime
) -> None:
    """Make ``held`` what holds, and remember it beside every version before."""
    values = {
        "tenant": tx.tenant,
        "version": held.version,
        "plan": held.plan,
        "access": held.access,
        "hard_limits": held.hard_limits,
        "features": sorted(held.features),
        "limits": json.dumps({**held.limits(), "features": sorted(held.features)}),
        "cause": cause,
        "event_id": event_id,
        "now": now,
        **held.limits(),
    }
    await tx.execute(
        """
        WITH remembered AS (
            INSERT INTO billing_changes (tenant_id, version, plan_id, access, limits, cause, event_id, applied_at)
            VALUES (%(tenant)s, %(version)s, %(plan)s, %(access)s, %(limits)s::jsonb, %(cause)s, %(event_id)s, %(now)s)
        )
        INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, messages_per_second,
            messages_per_month, retention_days, routes, seats, hard_limits, features, cause, event_id, applied_at)
        VALUES (%(tenant)s, %(version)s, %(plan)s, %(access)s, %(devices)s, %(messages_per_second)s,
                %(messages_per_month)s, %(retention_days)s, %(routes)s, %(seats)s, %(hard_limits)s, %(features)s,
                %(cause)s, %(event_id)s, %(now)s)
        ON CONFLICT (tenant_id) DO UPDATE
           SET version = excluded.version, plan_id = excluded.plan_id, access = excluded.access,
               devices = excluded.devices, messages_per_second = excluded.messages_per_second,
               messages_per_month = excluded.messages_per_month, retention_days = excluded.retention_days,
               routes = excluded.routes, seats = excluded.seats, hard_limits = excluded.hard_limits,
               features = excluded.features, cause = excluded.cause, event_id = excluded.event_id,
               applied_at = excluded.applied_at
        """,
        values,
    )


async def due_tenants(tx: Tx, now: datetime, since: datetime, plans: Sequence[str]) -> list[UUID]:
    """Name whose limits must change now: new tenants, used-up ones, those with ended grants or one of ``plans``."""
    rows = await tx.all(
        """
        SELECT t.tenant_id FROM tenants t
         WHERE t.status NOT IN ('deleting', 'deleted')
           AND NOT EXISTS (SELECT FROM billing_entitlements e WHERE e.tenant_id = t.tenant_id)
        UNION SELECT tenant_id FROM billing_entitlements
               WHERE messages_per_second = 0 OR plan_id = ANY(%(plans)s)
        UNION SELECT tenant_id FROM billing_overrides WHERE expires_at > %(since)s AND expires_at <= %(now)s
        """,
        {"now": now, "since": since, "plans": list(plans)},
    )
    return [row["tenant_id"] for row in rows]


async def unpaid_tenants(tx: Tx) -> list[UUID]:
    rows = await tx.all(
        "SELECT DISTINCT tenant_id FROM billing_subscriptions WHERE unpaid_since IS NOT NULL"
    )
    return [row["tenant_id"] for row in rows]


async def all_tenants(tx: Tx) -> list[UUID]:
    rows = await tx.all(
        "SELECT tenant_id FROM tenants WHERE status NOT IN ('deleting', 'deleted') ORDER BY tenant_id"
    )
    return [row["tenant_id"] for row in rows]


async def newest_change(tx: TenantTx) -> Row | None:
    """Say why the limits that hold now do."""
    return await tx.one_or_none(
        """
        SELECT version, cause, event_id, applied_at FROM billing_entitlements WHERE tenant_id = %(tenant)s
        """,
        {"tenant": tx.tenant},
    )


async def history(tx: TenantTx) -> list[Row]:
    return list(
        await tx.all(
            """
            SELECT version, plan_id, access, limits, cause, event_id, applied_at
              FROM billing_changes
             WHERE tenant_id = %(tenant)s
             ORDER BY version DESC
             LIMIT 100
            """,
            {"tenant": tx.tenant},
        )
    )
