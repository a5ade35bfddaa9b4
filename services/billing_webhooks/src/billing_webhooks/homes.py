"""Whose a customer is: one tenant's, for good; and which objects of Stripe's may count here at all."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from billing_webhooks import store
from billing_webhooks.stripe_shapes import id_of
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId
from pulse_common.tenancy import UniqueViolation

if TYPE_CHECKING:
    from billing_webhooks.domain import StripeEvent
    from billing_webhooks.stripe_api import StripeApi
    from pulse_common.tenancy import Database

MOST_REMEMBERED = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Homes:
    db: Database
    api: StripeApi
    livemode: bool
    test_clocks: bool = False
    _known: dict[str, UUID] = field(default_factory=dict)
    """A customer never becomes another tenant's, so this is never wrong."""

    def admits(self, livemode: bool, test_clock: object) -> bool:  # noqa: FBT001 -- Stripe's two marks
        """Whether an object is of our mode, and of no test clock unless those are admitted."""
        return livemode == self.livemode and (self.test_clocks or test_clock is None)

    def known(self, event: StripeEvent) -> UUID | None:
        return self._known.get(event.customer_id or "")

    async def find(self, event: StripeEvent, placed: UUID | None = None) -> UUID | None:
        """Return the tenant of an event's customer, which may be known already (``placed``)."""
        tenant = placed
        if tenant is None:
            customer_id = event.customer_id or await self._customer_of_charge(event)
            tenant = await self.tenant_of(customer_id) if customer_id else None
        if tenant is not None and event.customer_id is not None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[event.customer_id] = tenant
        return tenant

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
        if tenant is None or not self.admits(customer.livemode, customer.test_clock):
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
            async with self.db.service_tenant_connection("pulse_billing", TenantId(tenant)) as tx:
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
