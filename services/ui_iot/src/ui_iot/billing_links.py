"""What billing_webhooks is asked for a tenant: its plan and use, and links to Stripe's pages and to nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from pulse_common import events
from pulse_common.errors import Unavailable
from ui_iot import people, route_store
from ui_iot.handlers import request_id

if TYPE_CHECKING:
    from pulse_common.bus import Bus
    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database
    from ui_iot.directory import Directory

#: Where a link may lead, whatever billing says.
STRIPES_PAGES: Final = frozenset({"checkout.stripe.com", "billing.stripe.com"})
STRIPE_SECONDS = 20.0
MOST_SEATS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantBilling:
    """``directory`` knows the team, of whom everybody has a seat, and whoever is invited."""

    bus: Bus
    db: Database
    directory: Directory

    async def overview(self, principal: Principal, *, with_invoices: bool) -> events.BillingReply:
        """Ask billing, and add what is counted elsewhere: routes and seats.

        Raises:
            Forbidden: the tenant is not active.
            Unavailable: billing is away.
        """
        tenant = people.tenant_of(principal)
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
            routes = await route_store.count_routes(tx)
        asked = events.BillingRequest(tenant_id=tenant, with_invoices=with_invoices)
        found = await self.bus.call(asked, events.BillingReply, seconds=STRIPE_SECONDS)
        counted = {"routes": routes, "seats": await self._seats(tenant)}
        usage = [
            use.model_copy(update={"used": counted.get(use.name, use.used)}) for use in found.usage
        ]
        return found.model_copy(update={"usage": usage})

    async def _seats(self, tenant: TenantId) -> int | None:
        try:
            return len(await self.directory.search(tenant, 0, MOST_SEATS))
        except Unavailable:
            return None

    async def link(self, principal: Principal, plan: str | None) -> str:
        """Return the address of a Checkout for ``plan``, or without one of the Customer Portal.

        Raises:
            Conflict: nothing is billed here, there is a subscription already, or nothing to manage yet.
            Malformed: the plan cannot be bought.
            Unavailable: Stripe is away, or billing led to a place that is not Stripe's.
        """
        asked = events.BillingLinkRequest(
            tenant_id=people.tenant_of(principal),
            actor_id=principal.subject,
            plan=plan,
            request_id=request_id(),
        )
        found = await self.bus.call(asked, events.BillingLinkReply, seconds=STRIPE_SECONDS)
        where = urlsplit(found.url)
        if where.scheme != "https" or where.netloc not in STRIPES_PAGES:
            raise Unavailable("billing led to a place that is not Stripe's")
        return found.url


def share(use: events.Usage) -> int | None:
    """Return how much of a limit is in use, in percent; nothing of nothing is all of it."""
    if use.used is None or use.limit is None:
        return None
    return use.used * 100 // use.limit if use.limit else 100
