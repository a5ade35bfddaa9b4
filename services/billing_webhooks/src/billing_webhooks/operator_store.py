"""The SQL of what operators are shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pulse_common.tenancy import Row, TenantTx, Tx


async def find_event(tx: Tx, event_id: str) -> Row | None:
    return await tx.one_or_none(
        """
        SELECT event_id, event_type, livemode, created_at, object_id, customer_id, home_tenant_id
          FROM stripe_events
         WHERE event_id = %(event_id)s
        """,
        {"event_id": event_id},
    )


async def stripe_events(tx: TenantTx) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT event_id, event_type, created_at, handled_at, outcome, source, replays
          FROM stripe_events
         WHERE home_tenant_id = %(tenant)s
         ORDER BY created_at DESC, event_id
         LIMIT 100
        """,
        {"tenant": tx.tenant},
    )


async def subscriptions(tx: TenantTx) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT subscription_id, status, plan_id AS plan, unpaid_since, current_period_end, event_id AS stripe_event_id
          FROM billing_subscriptions
         WHERE tenant_id = %(tenant)s
         ORDER BY stripe_created_at DESC, subscription_id
         LIMIT 100
        """,
        {"tenant": tx.tenant},
    )
