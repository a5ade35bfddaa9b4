"""Read the raw body, verify, decide, answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter
from starlette.responses import JSONResponse, Response

from billing_webhooks.domain import is_meaningful
from pulse_common.errors import Malformed, Unavailable
from pulse_common.http import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from billing_webhooks.stripe_events import Verifier

log = structlog.get_logger(__name__)

LARGEST_EVENT = 512 * 1024
EVENTS = Counter("pulse_stripe_events_total", "Stripe events by outcome", ["outcome"])


@dataclass(frozen=True, slots=True)
class Webhooks:
    verifier: Verifier

    async def receive(self, request: Request) -> Response:
        body = await read_body(request, LARGEST_EVENT)
        try:
            event = self.verifier.verify(body, request.headers.get("stripe-signature"))
        except Malformed:
            EVENTS.labels("refused").inc()
            raise
        if is_meaningful(event):
            EVENTS.labels("postponed").inc()
            log.info("stripe_event_postponed", event_id=event.event_id, type=event.event_type)
            raise Unavailable("this type of event is not processed yet; send it again later")
        EVENTS.labels("ignored").inc()
        return JSONResponse({"received": True})
