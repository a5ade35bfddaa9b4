"""Use case: one Stripe event, claimed and handled in one transaction, takes effect once or not at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from billing_webhooks import domain, store
from billing_webhooks.stripe_shapes import id_of
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId
from pulse_common.tenancy import UniqueViolation

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    from billing_webhooks.domain import StripeEvent, Subscription
    from billing_webhooks.entitling import Entitling
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
MOST_HOMES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Processing:
    db: Database
    api: StripeApi
    entitling: Entitling
    prices: dict[str, str]
    livemode: bool
    test_clocks: bool = False
    _homes: dict[str, UUID] = field(default_factory=dict)
    """Whose each customer is: it never becomes another tenant's."""

    async def process(self, event: StripeEvent, source: str = "webhook") -> str:
        """Handle ``event`` unless that was done; return how it ended.

        Raises:
            Unavailable: nothing was done; Stripe sends the event again.
        """
        if event.livemode != self.livemode:
            return OTHER_MODE
        tenant = self._homes.get(event.customer_id or "")
        if tenant is None:
            async with self.db.service_connection("pulse_billing") as tx:
                placed = await store.place(tx, event)
            if placed["handled"]:
                return DUPLICATE
            tenant = placed["tenant_id"] or await self.find_tenant(event)
            self._remember(event.customer_id, tenant)
        if tenant is None:
            async with self.db.service_connection("pulse_billing") as tx:
                return await self._claim_only(tx, event, source)
        async with self._tenant(tenant) as tenant_tx:
            if not await store.claim(tenant_tx, event, tenant, source):
                return DUPLICATE
            outcome = await self.handle(tenant_tx, event)
            if outcome != HANDLED:
                await store.settle(tenant_tx, event.event_id, outcome)
        return outcome

    def _remember(self, customer_id: str | None, tenant: UUID | None) -> None:
        if customer_id is None or tenant is None:
            return
        if len(self._homes) >= MOST_HOMES:
            self._homes.clear()
        self._homes[customer_id] = tenant

    def _tenant(self, tenant: UUID) -> AbstractAsyncContextManager[TenantTx]:
        return self.db.service_tenant_connection("pulse_billing", TenantId(tenant))

    async def _claim_only(self, tx: Tx, event: StripeEvent, source: str) -> str:
        if not await store.claim(tx, event, None, source):
            return DUPLICATE
        await store.settle(tx, event.event_id, NO_TENANT)
        log.warning("stripe_customer_unknown", event_id=event.event_id, type=event.event_type)
        return NO_TENANT

    async def handle(self, tx: TenantTx, event: StripeEvent) -> str:
        """Do what the event is about, with what Stripe says now; the tenant must be locked.  Also for a replay."""
        match event.event_type:
            case "charge.dispute.created":
                outcome = HANDLED
            case "customer.updated" | "customer.deleted":
                outcome = await self._refresh_customer(tx, event)
            case "entitlements.active_entitlement_summary.updated":
                outcome = await self._refresh_features(tx)
            case "checkout.session.completed":
                outcome = await self._after_checkout(tx, event)
            case _:
                outcome = await self._refresh_pointed(tx, event)
        if outcome not in {HANDLED, UNCHANGED}:
            return outcome
        await self._tell(tx, event)
        if outcome == HANDLED:
            await self.entitling.apply(tx, cause=event.event_type, event_id=event.event_id)
        return HANDLED

    async def refresh(self, tx: TenantTx, subscription_id: str, event_id: str | None = None) -> str:
        """Fetch a subscription and store what Stripe has; the tenant must be locked."""
        try:
            found = await self.api.subscription(subscription_id)
        except NotFound:
            gone = await store.subscription_gone(tx, subscription_id, event_id)
            return HANDLED if gone else GONE
        held = await store.standing(tx, subscription_id)
        if found.customer_id != held["customer_id"]:
            log.warning("stripe_objects_mismatched", subscription_id=subscription_id)
            return MISMATCH
        if not self._admitted(found):
            return OTHER_MODE
        if held["status"] is not None and domain.agrees(held, found, self.prices):
            return UNCHANGED
        await self._save(tx, found, held, event_id)
        return HANDLED

    def _admitted(self, found: Subscription) -> bool:
        clocked = found.test_clock is not None
        return found.livemode == self.livemode and (self.test_clocks or not clocked)

    async def _save(
        self, tx: TenantTx, found: Subscription, held: Row, event_id: str | None
    ) -> None:
        plan = domain.plan_of(self.prices, found.price_ids)
        if plan is None:
            log.warning("stripe_price_unknown", subscription_id=found.subscription_id)
        now = self.entitling.clock()
        since = domain.unpaid_since(found.status, held["unpaid_since"], now, held["status"])
        await store.save_subscription(tx, found, plan=plan, unpaid_since=since, event_id=event_id)

    async def _refresh_pointed(self, tx: TenantTx, event: StripeEvent) -> str:
        if event.subscription_id is None:
            return HANDLED  # an invoice of no subscription
        return await self.refresh(tx, event.subscription_id, event.event_id)

    async def _refresh_customer(self, tx: TenantTx, event: StripeEvent) -> str:
        customer = await store.find_customer(tx)
        if customer is None or event.customer_id != customer["customer_id"]:
            return MISMATCH
        if not await self._is_deleted(customer["customer_id"]):
            return HANDLED
        await store.customer_deleted(tx, self.entitling.clock())
        for held in await store.find_subscriptions(tx):
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
        await store.set_features(tx, await self.api.features(customer["customer_id"]))
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

    async def find_tenant(self, event: StripeEvent) -> UUID | None:
        customer_id = event.customer_id or await self._customer_of_charge(event)
        return await self.tenant_of(customer_id) if customer_id else None

    async def tenant_of(self, customer_id: str) -> UUID | None:
        """Return whose a customer is; linked first when its metadata names a tenant that has no other."""
        async with self.db.service_connection("pulse_billing") as tx:
            known = await store.tenant_of_customer(tx, customer_id)
        if known is not None:
            return known
        try:
            customer = await self.api.customer(customer_id)
        except NotFound:
            return None
        tenant = _read_tenant(customer.metadata.get("tenant_id"))
        clocked = customer.test_clock is not None and not self.test_clocks
        if tenant is None or customer.livemode != self.livemode or clocked:
            return None
        return tenant if await self._link(tenant, customer_id) else None

    async def _customer_of_charge(self, event: StripeEvent) -> str | None:
        if event.charge_id is None:
            return None
        try:
            return id_of((await self.api.charge(event.charge_id)).customer)
        except NotFound:
            return None

    async def _link(self, tenant: UUID, customer_id: str) -> bool:
        try:
            async with self._tenant(tenant) as tx:
                await store.lock_tenant(tx)
                if not await store.tenant_exists(tx, tenant):
                    return False
                return await store.link_customer(tx, customer_id, livemode=self.livemode)
        except UniqueViolation:
            return False  # it is another tenant's


def _read_tenant(text: str | None) -> UUID | None:
    try:
        return UUID(text) if text else None
    except ValueError:
        return None
