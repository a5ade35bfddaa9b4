"""The billing page of a tenant's administrators: plan, use, invoices, and the ways to Stripe's own pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from starlette.responses import RedirectResponse, Response

from pulse_common import events
from pulse_common.errors import Malformed, Unavailable
from pulse_common.http import Endpoint, Guarded
from ui_iot import people, rendering
from ui_iot.forms import read_form
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database

#: Where a link may lead, whatever billing says.
STRIPES_PAGES: Final = frozenset({"checkout.stripe.com", "billing.stripe.com"})
STRIPE_SECONDS = 20.0
WORDS: Final = {
    "devices": "Devices",
    "messages_per_second": "Messages a second",
    "messages_per_month": "Messages this month",
    "retention_days": "Days that readings are kept",
    "routes": "Routes",
    "seats": "Seats",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPages:
    db: Database
    bus: Bus

    async def show(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        asked = events.BillingRequest(tenant_id=people.tenant_of(principal), with_invoices=True)
        found = await self.bus.call(asked, events.BillingReply, seconds=STRIPE_SECONDS)
        return rendering.page(request, "billing.html", _context(request, found))

    async def checkout(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        plan = (await read_form(request)).get("plan", "")
        if not plan:
            raise Malformed("choose a plan")
        return await self._lead(principal, plan)

    async def portal(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        return await self._lead(principal, None)

    async def _lead(self, principal: Principal, plan: str | None) -> Response:
        asked = events.BillingLinkRequest(
            tenant_id=people.tenant_of(principal), actor_id=principal.subject, plan=plan
        )
        found = await self.bus.call(asked, events.BillingLinkReply, seconds=STRIPE_SECONDS)
        where = urlsplit(found.url)
        if where.scheme != "https" or where.netloc not in STRIPES_PAGES:
            raise Unavailable("billing led to a place that is not Stripe's")
        return RedirectResponse(found.url, 303)


def endpoints(*, db: Database, bus: Bus) -> list[Endpoint]:
    pages = BillingPages(db=db, bus=bus)
    served = [
        ("GET", "/billing", pages.show),
        ("POST", "/billing/checkout", pages.checkout),
        ("POST", "/billing/portal", pages.portal),
    ]
    return [
        Guarded(method=method, path=path, roles=ADMINISTRATORS, handler=handler)
        for method, path, handler in served
    ]


def _context(request: Request, found: events.BillingReply) -> dict[str, object]:
    return {
        "billing": found,
        "usage": [
            {
                "name": use.name,
                "words": WORDS.get(use.name, use.name),
                "used": use.used,
                "limit": use.limit,
                "share": _share(use),
            }
            for use in found.usage
        ],
        "back_from_checkout": request.query_params.get("checkout") == "done",
    }


def _share(use: events.Usage) -> int | None:
    """Return the percentage in use, for a bar that ends at 100."""
    if use.used is None or use.limit is None:
        return None
    return min(100, use.used * 100 // use.limit) if use.limit else 100
