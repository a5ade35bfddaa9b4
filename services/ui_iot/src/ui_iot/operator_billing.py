"""The console's page of a tenant's billing: subscriptions, Stripe's events, each limit with its cause, and a replay."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode

from starlette.responses import RedirectResponse, Response

from pulse_common import events
from pulse_common.errors import Malformed
from pulse_common.http import Endpoint, Guarded
from pulse_common.identity import Role, TenantId
from ui_iot import rendering
from ui_iot.billing_api import LOOK, READERS, SECONDS, WRITERS
from ui_iot.billing_pages import WORDS
from ui_iot.forms import read_form
from ui_iot.operator_api import CONSOLE, tenant_id

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.identity import Principal
    from ui_iot.operator_pages import OperatorPages
    from ui_iot.operators import Operator, Operators

PAGE = "/operator/tenants/{tenant_id}/billing"
_EVENT_ID: Final = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
#: How a replay may end, in the words of billing_webhooks.
OUTCOMES: Final = {
    "handled": "was handled again: what Stripe has now holds",
    "unchanged": "changed nothing: what Stripe has holds already",
    "gone": "changed nothing: Stripe no longer has what it is about",
    "mismatch": "was not handled: its objects do not belong together",
    "other_mode": "was not handled: it is of the other mode, or of a test clock",
    "no_tenant": "was not handled: its customer is nobody's",
}


@dataclass(frozen=True, slots=True)
class OperatorBilling:
    bus: Bus
    operators: Operators

    async def show(self, request: Request, principal: Principal, who: Operator) -> Response:
        tenant = tenant_id(request)
        await self.operators.note(who, LOOK, TenantId(tenant))
        asked = events.BillingHistoryRequest(tenant_id=tenant, actor_id=who.id)
        found = await self.bus.call(asked, events.BillingHistoryReply, seconds=SECONDS)
        replayed, outcome = (request.query_params.get(name, "") for name in ("event", "outcome"))
        context: dict[str, object] = {
            "reason": who.reason,
            "may_write": Role.OPERATOR_ADMIN in principal.roles,
            "here": request.url.path,
            "tenant_id": str(tenant),
            "billing": found,
            "words": WORDS,
            "replayed": replayed if _EVENT_ID.fullmatch(replayed) else None,
            "outcome": OUTCOMES.get(outcome),
        }
        return rendering.page(request, "operator_billing.html", context)

    async def replay(self, request: Request, principal: Principal, who: Operator) -> Response:
        del principal
        tenant, event_id = tenant_id(request), (await read_form(request)).get("event_id", "")
        if not _EVENT_ID.fullmatch(event_id):
            raise Malformed("choose an event")
        asked = events.ReplayRequest(stripe_event_id=event_id, actor_id=who.id, reason=who.reason)
        found = await self.bus.call(asked, events.ReplayReply, seconds=SECONDS)
        query = urlencode({"event": event_id, "outcome": found.outcome})
        return RedirectResponse(f"{CONSOLE}/{tenant}/billing?{query}", 303)


def endpoints(bus: Bus, operators: Operators, pages: OperatorPages) -> list[Endpoint]:
    """Make the routes; ``pages`` asks for a reason, and for a recent log-in before a change."""
    billing = OperatorBilling(bus, operators)
    return [
        Guarded(method="GET", path=PAGE, roles=READERS, handler=pages.reading(billing.show)),
        Guarded(
            method="POST",
            path=f"{PAGE}/replay",
            roles=WRITERS,
            handler=pages.writing(billing.replay),
        ),
    ]
