"""The billing page of a tenant's administrators: plan, use, invoices, and the ways to Stripe's own pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from starlette.responses import RedirectResponse, Response

from pulse_common.errors import Malformed
from pulse_common.http import Endpoint, Guarded
from ui_iot import people, rendering
from ui_iot.billing_links import share
from ui_iot.forms import read_form
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common import events
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.billing_links import TenantBilling

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
    billing: TenantBilling

    async def show(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        found = await self.billing.overview(principal, with_invoices=True)
        return rendering.page(request, "billing.html", _context(request, found))

    async def checkout(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        plan = (await read_form(request)).get("plan", "")
        if not plan:
            raise Malformed("choose a plan")
        return RedirectResponse(await self.billing.link(principal, plan), 303)

    async def portal(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.db, principal)
        return RedirectResponse(await self.billing.link(principal, None), 303)


def endpoints(*, db: Database, billing: TenantBilling) -> list[Endpoint]:
    pages = BillingPages(db=db, billing=billing)
    served = [
        ("GET", "/billing", pages.show),
        ("POST", "/billing/checkout", pages.checkout),
        ("POST", "/billing/portal", pages.portal),
    ]
    return [
        Guarded(method=method, path=path, roles=ADMINISTRATORS, handler=handler)
        for method, path, handler in served
    ]


#: What made the limits what they are, other than an event of Stripe's.
CAUSES: Final = {
    "time": "time: a new tenant, a step of an unpaid bill, a changed plan, or the end of a grant",
    "override": "a limit granted by an operator",
    "usage": "a monthly limit that is used up",
    "reconciler": "a comparison with Stripe",
}


def _context(request: Request, found: events.BillingReply) -> dict[str, object]:
    return {
        "billing": found,
        "usage": [
            {
                "name": use.name,
                "words": WORDS.get(use.name, use.name),
                "used": use.used,
                "limit": use.limit,
                "share": share(use),
            }
            for use in found.usage
        ],
        "cause": CAUSES.get(found.cause or "", f"Stripe's {found.cause}"),
        "back_from_checkout": request.query_params.get("checkout") == "done",
    }
