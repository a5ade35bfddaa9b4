"""What a tenant's billing page needs: plan and usage, invoices, and links to Stripe's own pages."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from billing_webhooks import domain, entitlement_store, store, subscription_store, usage_store
from billing_webhooks.usage import month_of
from pulse_common import audit, entitlements, events
from pulse_common.errors import AppError, Conflict, Malformed, NotFound, Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from billing_webhooks.domain import Held, Plan
    from billing_webhooks.stripe_api import StripeApi
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Row, TenantTx

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Links:
    db: Database
    api: StripeApi | None
    plans: Mapping[str, Plan]
    prices: Mapping[str, str]
    """What each price buys."""
    livemode: bool
    public_url: str
    clock: Clock

    async def overview(self, request: events.BillingRequest) -> events.BillingReply:
        async with self._tenant(request.tenant_id) as tx:
            held = await entitlements.load(tx)
            change = await entitlement_store.newest_change(tx)
            month = month_of(self.clock())
            used = {
                "devices": await usage_store.devices_of(tx),
                "messages_per_month": await usage_store.messages_of_month(tx, month),
            }
            customer = await store.find_customer(tx)
            subscription = await subscription_store.newest(tx)
        plan = self.plans.get(held.plan)
        return events.BillingReply(
            mode="stripe" if self.api else "none",
            plan=held.plan,
            plan_name=plan.name if plan else held.plan,
            access=held.access,
            status=subscription["status"] if subscription else None,
            unpaid_since=subscription["unpaid_since"] if subscription else None,
            current_period_end=subscription["current_period_end"] if subscription else None,
            cancels_at_period_end=bool(subscription and subscription["cancel_at_period_end"]),
            usage=[
                events.Usage(name=name, used=used.get(name), limit=limit)
                for name, limit in held.limits().items()
            ],
            features=sorted(held.features),
            offers=self._offers(),
            has_customer=_is_live(customer),
            invoices=await self._invoices(customer) if request.with_invoices else None,
            version=held.version,
            cause=change["cause"] if change else None,
            stripe_event_id=change["event_id"] if change else None,
            applied_at=change["applied_at"] if change else None,
        )

    async def link(self, request: events.BillingLinkRequest) -> events.BillingLinkReply:
        """Make a session of Checkout or of the Customer Portal; both return to our own billing page.

        Raises:
            Unavailable: Stripe is away.
            Conflict: nothing is billed here, there is a subscription already, or none whose portal could be shown.
        """
        if self.api is None:
            raise Conflict("nothing is billed on this installation")
        if request.plan is None:
            return await self._portal(self.api, request)
        return await self._checkout(self.api, request, request.plan)

    async def _portal(
        self, api: StripeApi, request: events.BillingLinkRequest
    ) -> events.BillingLinkReply:
        async with self._tenant(request.tenant_id) as tx:
            customer = await store.find_customer(tx)
            if customer is None or not _is_live(customer):
                raise Conflict("there is nothing to manage yet: choose a plan first")
            await audit.record(tx, _act(request, "billing.portal", customer["customer_id"]))
        url = await api.create_portal(
            {"customer": customer["customer_id"], "return_url": f"{self.public_url}/billing"}
        )
        return events.BillingLinkReply(url=url)

    async def _checkout(
        self, api: StripeApi, request: events.BillingLinkRequest, plan: str
    ) -> events.BillingLinkReply:
        price = next((price for price, bought in self.prices.items() if bought == plan), None)
        if price is None:
            raise Malformed("this plan cannot be bought")
        async with self._tenant(request.tenant_id) as tx:
            await store.lock_tenant(tx)
            if not await store.tenant_exists(tx, request.tenant_id):
                raise NotFound("no such tenant")
            if any(_counts(held) for held in await subscription_store.find_all(tx)):
                raise Conflict("there is a subscription already: change it in the customer portal")
            customer_id = await self._customer(tx, api)
            await audit.record(tx, _act(request, "billing.checkout", customer_id))
        params: dict[str, Any] = {
            "mode": "subscription",
            "customer": customer_id,
            "client_reference_id": str(request.tenant_id),
            "line_items": [{"price": price, "quantity": 1}],
            "subscription_data": {"metadata": {"tenant_id": str(request.tenant_id)}},
            "success_url": f"{self.public_url}/billing?checkout=done",
            "cancel_url": f"{self.public_url}/billing",
        }
        return events.BillingLinkReply(url=await api.create_checkout(params))

    async def _customer(self, tx: TenantTx, api: StripeApi) -> str:
        """Return the tenant's customer, made at Stripe when there is none; it carries the tenant's id and no name."""
        known = await store.find_customer(tx)
        if known is not None and _is_live(known):
            return str(known["customer_id"])
        attempt = known["customer_id"] if known else "first"
        made = await api.create_customer(str(tx.tenant), attempt)
        if made.livemode != self.livemode:
            raise Unavailable("Stripe answered for the other mode")
        await store.link_customer(tx, made.id, livemode=made.livemode)
        return made.id

    async def _invoices(self, customer: Row | None) -> list[events.Invoice] | None:
        if self.api is None or customer is None or not _is_live(customer):
            return []
        try:
            found = await self.api.invoices(customer["customer_id"])
        except AppError:
            return None
        return [
            events.Invoice(
                invoice_id=invoice.id,
                status=invoice.status or "unknown",
                created_at=datetime.fromtimestamp(invoice.created, UTC),
                amount_due=invoice.amount_due,
                currency=invoice.currency,
                hosted_url=_https(invoice.hosted_invoice_url),
            )
            for invoice in found
        ]

    def _offers(self) -> list[str]:
        if self.api is None:
            return []
        sold = {plan for plan in self.prices.values() if plan in self.plans}
        return sorted(sold, key=lambda plan: self.plans[plan].rank)

    def _tenant(self, tenant: UUID) -> AbstractAsyncContextManager[TenantTx]:
        return self.db.service_tenant_connection("pulse_billing", TenantId(tenant))


def _is_live(customer: Row | None) -> bool:
    return customer is not None and customer["deleted_at"] is None


def _counts(held: Held) -> bool:
    return not domain.has_ended(held.status) and held.status != "incomplete"


def _https(url: str | None) -> str | None:
    return url if url and url.startswith("https://") else None


def _act(request: events.BillingLinkRequest, action: audit.Action, customer_id: str) -> audit.Act:
    return audit.Act(
        actor_kind="user",
        actor_id=request.actor_id,
        action=action,
        object_kind="stripe_customer",
        object_id=customer_id,
        request_id=request.request_id,
    )
