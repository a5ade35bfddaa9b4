"""Every SQL statement about Stripe's events, customers and subscriptions; limits and usage have files of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from billing_webhooks.domain import StripeEvent
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

    Returns what is held, as ``subscription_store.standing``, read under the lock.  Of two at once the second waits here
    for the first to end: it finds the row, or takes over what was rolled back.
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
