"""Use case: one Stripe event, claimed and handled in one transaction, takes effect once or not at all."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from billing_webhooks import domain, store, subscription_store
from billing_webhooks.asked import Asked
from billing_webhooks.stripe_shapes import id_of
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from billing_webhooks.domain import StripeEvent, Subscription
    from billing_webhooks.entitling import Entitling
    from billing_webhooks.homes import Homes
    from billing_webhooks.stripe_api import StripeApi
    from pulse_common.tenancy import Database, Row, TenantTx, Tx

log = structlog.get_logger(__name__)

DUPLICATE = "duplicate"
HANDLED = "handled"
IGNORED = "ignored"
#: Stripe has what we have: nothing follows that did not follow before.
UNCHANGED = "unchanged"
#: The event is of the other mode, or of a test clock that is not admitted: it must not touch anything here.
OTHER_MODE = "other_mode"
#: The customer is nobody's here.
NO_TENANT = "no_tenant"
#: Stripe does not have the object (any more).
GONE = "gone"
#: The objects do not belong together: nothing was done.
MISMATCH = "mismatch"
#: Types whose whole effect is their subscription, fetched anew, and a notice.
POINTING = frozenset(
    kind for kind in domain.MEANINGFUL if kind.startswith(("customer.subscription.", "invoice."))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    db: Database
    api: StripeApi
    entitling: Entitling
    prices: dict[str, str]
    homes: Homes
    _asked: Asked = field(default_factory=Asked)

    async def process(self, event: StripeEvent, source: str = "webhook") -> str:
        """Handle ``event`` unless that was done; return how it ended.

        Raises:
            Unavailable: nothing was done; Stripe sends the event again.
        """
        arrived_at = time.monotonic()
        if event.livemode != self.homes.livemode:
            return OTHER_MODE
        tenant = self.homes.known(event)
        if tenant is None:
            async with self.db.service_connection("pulse_billing") as tx:
                placed = await store.place(tx, event)
            if placed["handled"]:
                return DUPLICATE
            tenant = await self.homes.find(event, placed["tenant_id"])
        if tenant is None:
            async with self.db.service_connection("pulse_billing") as tx:
                return await self._claim_only(tx, event, source)
        return await self._process_for(tenant, event, source, arrived_at)

    async def _process_for(
        self, tenant: UUID, event: StripeEvent, source: str, arrived_at: float
    ) -> str:
        async with self._tenant(tenant) as tx:
            held = await store.claim(tx, event, tenant, source)
            if held is None:
                return DUPLICATE
            points_at = event.subscription_id if event.event_type in POINTING else None
            if self._asked.since(arrived_at, tenant, points_at):
                await self._tell(tx, event)
                return HANDLED
            asked_at = time.monotonic()
            outcome = await self.handle(tx, event, held)
            if outcome != HANDLED:
                await store.settle(tx, event.event_id, outcome)
        if outcome == HANDLED:
            self._asked.note(asked_at, tenant, points_at)
        return outcome

    def _tenant(self, tenant: UUID) -> AbstractAsyncContextManager[TenantTx]:
        return self.db.service_tenant_connection("pulse_billing", TenantId(tenant))

    async def _claim_only(self, tx: Tx, event: StripeEvent, source: str) -> str:
        if await store.claim(tx, event, None, source) is None:
            return DUPLICATE
        await store.settle(tx, event.event_id, NO_TENANT)
        log.warning("stripe_customer_unknown", event_id=event.event_id, type=event.event_type)
        return NO_TENANT

    async def handle(self, tx: TenantTx, event: StripeEvent, held: Row | None = None) -> str:
        """Do what the event is about, with what Stripe says now; the tenant must be locked.  Also for a replay.

        ``held`` is what ``subscription_store.standing`` says of the event's subscription, when that is known.
        """
        match event.event_type:
            case "charge.dispute.created":
                outcome = HANDLED
            case "customer.updated" | "customer.deleted":
                outcome = await self._refresh_customer(tx, event)
            case "entitlements.active_entitlement_summary.updated":
                outcome = await self._refresh_features(tx)
            case "checkout.session.completed":
                outcome = await self._after_checkout(tx, event)
            case _:  # one of POINTING
                outcome = await self._refresh_pointed(tx, event, held)
        if outcome not in {HANDLED, UNCHANGED}:
            return outcome
        await self._tell(tx, event)
        if outcome == HANDLED:
            await self.entitling.apply(tx, cause=event.event_type, event_id=event.event_id)
        return HANDLED

    async def refresh(
        self,
        tx: TenantTx,
        subscription_id: str,
        event_id: str | None = None,
        held: Row | None = None,
    ) -> str:
        """Fetch a subscription and store what Stripe has; the tenant must be locked."""
        try:
            found = await self.api.subscription(subscription_id)
        except NotFound:
            gone = await subscription_store.mark_gone(tx, subscription_id, event_id)
            return HANDLED if gone else GONE
        held = held or await subscription_store.standing(tx, subscription_id)
        if found.customer_id != held["customer_id"]:
            log.warning("stripe_objects_mismatched", subscription_id=subscription_id)
            return MISMATCH
        if not self.homes.admits(found.livemode, found.test_clock):
            return OTHER_MODE
        if held["status"] is not None and domain.agrees(held, found, self.prices):
            return UNCHANGED
        await self._save(tx, found, held, event_id)
        return HANDLED

    async def _save(
        self, tx: TenantTx, found: Subscription, held: Row, event_id: str | None
    ) -> None:
        plan = domain.plan_of(self.prices, found.price_ids)
        if plan is None:
            log.warning("stripe_price_unknown", subscription_id=found.subscription_id)
        now = self.entitling.clock()
        since = domain.unpaid_since(found.status, held["unpaid_since"], now, held["status"])
        await subscription_store.save(tx, found, plan=plan, unpaid_since=since, event_id=event_id)

    async def _refresh_pointed(self, tx: TenantTx, event: StripeEvent, held: Row | None) -> str:
        if event.subscription_id is None:
            return HANDLED  # an invoice of no subscription
        return await self.refresh(tx, event.subscription_id, event.event_id, held)

    async def _refresh_customer(self, tx: TenantTx, event: StripeEvent) -> str:
        customer = await store.find_customer(tx)
        if customer is None or event.customer_id != customer["customer_id"]:
            return MISMATCH
        if not await self._is_deleted(customer["customer_id"]):
            return HANDLED
        await store.customer_deleted(tx, self.entitling.clock())
        for held in await subscription_store.find_all(tx):
            if not domain.has_ended(held.status):
                await self.refresh(tx, held.subscription_id, event.event_id)
        return HANDLED

    async def _is_deleted(self, customer_id: str) -> bool:
        try:
            return (await self.api.customer(customer_id)).deleted
        except NotFound:
            return True

    async def _refresh_features(self, tx: TenantTx) -> str:
        customer = await store.find_customer(tx)
        if customer is None:
            return NO_TENANT
        try:
            features = await self.api.features(customer["customer_id"])
        except NotFound:
            return GONE
        await store.set_features(tx, features)
        return HANDLED

    async def _after_checkout(self, tx: TenantTx, event: StripeEvent) -> str:
        if event.object_id is None:
            return GONE
        try:
            session = await self.api.checkout_session(event.object_id)
        except NotFound:
            return GONE
        # Whoever knows the address of a payment link writes this field: it may confirm a tenant, never choose one.
        if session.client_reference_id not in {None, str(tx.tenant)}:
            log.warning("checkout_for_another_tenant", event_id=event.event_id)
            return MISMATCH
        subscription_id = id_of(session.subscription)
        if subscription_id is None:
            return HANDLED
        return await self.refresh(tx, subscription_id, event.event_id)

    async def _tell(self, tx: TenantTx, event: StripeEvent) -> None:
        kind = domain.NOTICES.get(event.event_type)
        if kind is not None:
            key = f"{kind}:{event.object_id or event.event_id}"
            await self.entitling.tell(tx, kind, key, event.event_id)
