"""Every SQL statement about subscriptions, as Stripe has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_webhooks.domain import Held

if TYPE_CHECKING:
    from datetime import datetime

    from billing_webhooks.domain import Subscription
    from pulse_common.tenancy import Row, TenantTx


async def standing(tx: TenantTx, subscription_id: str) -> Row:
    """Return the tenant's customer and what is held of one subscription; None where there is nothing."""
    return await tx.one(
        """
        SELECT c.customer_id, s.status, s.price_ids, s.plan_id, s.quantity, s.cancel_at_period_end,
               s.current_period_end, s.trial_end, s.unpaid_since
          FROM (SELECT %(tenant)s::uuid AS tenant_id) t
          LEFT JOIN billing_customers c ON c.tenant_id = t.tenant_id
          LEFT JOIN billing_subscriptions s ON s.tenant_id = t.tenant_id AND s.subscription_id = %(subscription_id)s
        """,
        {"tenant": tx.tenant, "subscription_id": subscription_id},
    )


async def find_all(tx: TenantTx) -> list[Held]:
    rows = await tx.all(
        """
        SELECT subscription_id, status, plan_id, unpaid_since, stripe_created_at, event_id
          FROM billing_subscriptions
         WHERE tenant_id = %(tenant)s
         ORDER BY stripe_created_at DESC, subscription_id
        """,
        {"tenant": tx.tenant},
    )
    return [
        Held(
            subscription_id=row["subscription_id"],
            status=row["status"],
            plan=row["plan_id"],
            unpaid_since=row["unpaid_since"],
            created_at=row["stripe_created_at"],
            event_id=row["event_id"],
        )
        for row in rows
    ]


async def newest(tx: TenantTx) -> Row | None:
    """Return what the billing page shows: a subscription that counts before one that has ended."""
    return await tx.one_or_none(
        """
        SELECT status, unpaid_since, current_period_end, cancel_at_period_end
          FROM billing_subscriptions
         WHERE tenant_id = %(tenant)s
         ORDER BY status IN ('active', 'trialing', 'past_due', 'unpaid') DESC, stripe_created_at DESC
         LIMIT 1
        """,
        {"tenant": tx.tenant},
    )


async def save(
    tx: TenantTx,
    found: Subscription,
    *,
    plan: str | None,
    unpaid_since: datetime | None,
    event_id: str | None,
) -> bool:
    """Store what Stripe has; False when that is what we had.  A price that nobody knows leaves the plan as it was."""
    changed = await tx.execute(
        """
        INSERT INTO billing_subscriptions AS held (tenant_id, subscription_id, customer_id, status, price_ids, plan_id,
            quantity, cancel_at_period_end, current_period_end, trial_end, stripe_created_at, unpaid_since, event_id)
        VALUES (%(tenant)s, %(subscription_id)s, %(customer_id)s, %(status)s, %(price_ids)s, %(plan)s, %(quantity)s,
                %(cancels)s, %(period_end)s, %(trial_end)s, %(created_at)s, %(unpaid_since)s, %(event_id)s)
        ON CONFLICT (subscription_id) DO UPDATE
           SET status = excluded.status, price_ids = excluded.price_ids,
               plan_id = coalesce(excluded.plan_id, held.plan_id), quantity = excluded.quantity,
               cancel_at_period_end = excluded.cancel_at_period_end, current_period_end = excluded.current_period_end,
               trial_end = excluded.trial_end, unpaid_since = excluded.unpaid_since, event_id = excluded.event_id,
               updated_at = now()
         WHERE held.tenant_id = excluded.tenant_id
           AND (held.status, held.price_ids, held.plan_id, held.quantity, held.cancel_at_period_end,
                held.current_period_end, held.trial_end, held.unpaid_since)
               IS DISTINCT FROM
               (excluded.status, excluded.price_ids, coalesce(excluded.plan_id, held.plan_id), excluded.quantity,
                excluded.cancel_at_period_end, excluded.current_period_end, excluded.trial_end, excluded.unpaid_since)
        """,
        {
            "tenant": tx.tenant,
            "subscription_id": found.subscription_id,
            "customer_id": found.customer_id,
            "status": found.status,
            "price_ids": list(found.price_ids),
            "plan": plan,
            "quantity": found.quantity,
            "cancels": found.cancel_at_period_end,
            "period_end": found.current_period_end,
            "trial_end": found.trial_end,
            "created_at": found.created_at,
            "unpaid_since": unpaid_since,
            "event_id": event_id,
        },
    )
    return changed == 1


async def mark_gone(tx: TenantTx, subscription_id: str, event_id: str | None) -> bool:
    """Stripe knows it no more: it gives nothing any longer."""
    changed = await tx.execute(
        """
        UPDATE billing_subscriptions
           SET status = 'canceled', unpaid_since = NULL, event_id = %(event_id)s, updated_at = now()
         WHERE tenant_id = %(tenant)s AND subscription_id = %(subscription_id)s AND status <> 'canceled'
        """,
        {"tenant": tx.tenant, "subscription_id": subscription_id, "event_id": event_id},
    )
    return changed == 1
