"""Every SQL statement about Stripe's events, customers and subscriptions; limits and usage have files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from billing_webhooks.domain import Held

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from billing_webhooks.domain import StripeEvent, Subscription
    from pulse_common.tenancy import Row, TenantTx, Tx


async def place(tx: Tx, event: StripeEvent) -> Row:
    """Say whether the event was handled, and whose its customer is.  Reads only: a repeat ends here."""
    return await tx.one(
        """
        SELECT EXISTS (SELECT FROM stripe_events WHERE event_id = %(event_id)s) AS handled,
               (SELECT tenant_id FROM billing_customers WHERE customer_id = %(customer_id)s) AS tenant_id
        """,
        {"event_id": event.event_id, "customer_id": event.customer_id},
    )


async def claim(tx: Tx, event: StripeEvent, tenant: UUID | None, source: str) -> Row | None:
    """Take the event for this transaction, and the tenant's lock; None when another one has handled it.

    Returns what is held, as ``standing``, read under the lock.  Of two at once the second waits here for the first to
    end: it finds the row, or takes over what was rolled back.
    """
    return await tx.one_or_none(
        """
        SELECT customer AS customer_id, status, price_ids, plan_id, quantity, cancel_at_period_end,
               current_period_end, trial_end, unpaid_since
          FROM claim_stripe_event(%(event_id)s, %(event_type)s, %(livemode)s, %(created_at)s, %(object_id)s,
                                  %(customer_id)s, %(tenant_id)s, %(source)s, %(subscription_id)s)
        """,
        {
            "event_id": event.event_id,
            "event_type": event.event_type,
            "livemode": event.livemode,
            "created_at": event.created_at,
            "object_id": event.object_id,
            "customer_id": event.customer_id,
            "tenant_id": tenant,
            "source": source,
            "subscription_id": event.subscription_id,
        },
    )


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


async def settle(tx: Tx, event_id: str, outcome: str) -> None:
    """Write down how it ended, when that is not the usual way."""
    await tx.execute(
        "UPDATE stripe_events SET outcome = %(outcome)s WHERE event_id = %(event_id)s",
        {"event_id": event_id, "outcome": outcome},
    )


async def mark_replayed(tx: Tx, event_id: str, outcome: str, now: datetime) -> None:
    await tx.execute(
        """
        UPDATE stripe_events
           SET outcome = %(outcome)s, replays = replays + 1, replayed_at = %(now)s
         WHERE event_id = %(event_id)s
        """,
        {"event_id": event_id, "outcome": outcome, "now": now},
    )


async def known_events(tx: Tx, event_ids: Sequence[str]) -> set[str]:
    rows = await tx.all(
        "SELECT event_id FROM stripe_events WHERE event_id = ANY(%(event_ids)s)",
        {"event_ids": list(event_ids)},
    )
    return {row["event_id"] for row in rows}


async def lock_tenant(tx: TenantTx) -> None:
    """Let one transaction at a time ask Stripe about this tenant and write the answer.

    What is fetched under the lock is at least as new as what any earlier holder wrote, in whatever order events come.
    """
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('pulse.billing.' || %(tenant)s, 0))",
        {"tenant": str(tx.tenant)},
    )


async def customers_of_mode(tx: Tx, *, livemode: bool) -> int:
    row = await tx.one(
        "SELECT count(*) AS found FROM billing_customers WHERE livemode = %(livemode)s AND deleted_at IS NULL",
        {"livemode": livemode},
    )
    return int(row["found"])


async def tenant_exists(tx: Tx, tenant: UUID) -> bool:
    query: LiteralString = "SELECT FROM tenants WHERE tenant_id = %(tenant)s"
    return await tx.one_or_none(query, {"tenant": tenant}) is not None


async def tenant_of_customer(tx: Tx, customer_id: str) -> UUID | None:
    row = await tx.one_or_none(
        "SELECT tenant_id FROM billing_customers WHERE customer_id = %(customer_id)s",
        {"customer_id": customer_id},
    )
    return None if row is None else row["tenant_id"]


async def link_customer(tx: TenantTx, customer_id: str, *, livemode: bool) -> bool:
    """Give the tenant its customer; False when either has another one.  A deleted customer makes room for the next.

    That another transaction has just done so is no refusal: the first events of a customer come at once.
    """
    row = await tx.one_or_none(
        """
        INSERT INTO billing_customers AS held (tenant_id, customer_id, livemode)
        VALUES (%(tenant)s, %(customer_id)s, %(livemode)s)
        ON CONFLICT (tenant_id) DO UPDATE
           SET customer_id = excluded.customer_id, livemode = excluded.livemode, deleted_at = NULL, features = '{}',
               linked_at = now()
         WHERE held.deleted_at IS NOT NULL AND held.customer_id <> excluded.customer_id
        RETURNING tenant_id
        """,
        {"tenant": tx.tenant, "customer_id": customer_id, "livemode": livemode},
    )
    return row is not None or await tenant_of_customer(tx, customer_id) == tx.tenant


async def find_customer(tx: TenantTx) -> Row | None:
    return await tx.one_or_none(
        """
        SELECT customer_id, livemode, features, deleted_at
          FROM billing_customers
         WHERE tenant_id = %(tenant)s
        """,
        {"tenant": tx.tenant},
    )


async def customer_deleted(tx: TenantTx, now: datetime) -> None:
    await tx.execute(
        """
        UPDATE billing_customers SET deleted_at = %(now)s WHERE tenant_id = %(tenant)s AND deleted_at IS NULL
        """,
        {"tenant": tx.tenant, "now": now},
    )


async def set_features(tx: TenantTx, features: Sequence[str]) -> None:
    await tx.execute(
        "UPDATE billing_customers SET features = %(features)s WHERE tenant_id = %(tenant)s",
        {"tenant": tx.tenant, "features": list(features)},
    )


async def find_subscriptions(tx: TenantTx) -> list[Held]:
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


async def newest_subscription(tx: TenantTx) -> Row | None:
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


async def save_subscription(
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


async def subscription_gone(tx: TenantTx, subscription_id: str, event_id: str | None) -> bool:
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


async def notice(tx: TenantTx, kind: str, key: str, event_id: str | None, now: datetime) -> bool:
    """Write down that something is told; False when it was told before."""
    told = await tx.execute(
        """
        INSERT INTO billing_notices (tenant_id, notice_key, kind, event_id, noticed_at)
        VALUES (%(tenant)s, %(key)s, %(kind)s, %(event_id)s, %(now)s)
        ON CONFLICT DO NOTHING
        """,
        {"tenant": tx.tenant, "key": key, "kind": kind, "event_id": event_id, "now": now},
    )
    return told == 1
