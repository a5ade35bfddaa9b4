"""Read the raw body, verify, process, answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter
from starlette.responses import JSONResponse, Response

from billing_webhooks.domain import is_meaningful
from billing_webhooks.processing import IGNORED, OTHER_MODE
from pulse_common.errors import AppError, Malformed, Unavailable
from pulse_common.http import read_body

if TYPE_CHECKING:
    from starlette.requests import Request

    from billing_webhooks.domain import StripeEvent
    from billing_webhooks.processing import Processing
    from billing_webhooks.stripe_events import Verifier

log = structlog.get_logger(__name__)

LARGEST_EVENT = 512 * 1024
EVENTS = Counter("pulse_stripe_events_total", "Stripe events by outcome", ["outcome"])


@dataclass(frozen=True, slots=True)
class Webhooks:
    """``processing`` is None where nothing is billed."""

    verifier: Verifier
    processing: Processing | None

    async def receive(self, request: Request) -> Response:
        body = await read_body(request, LARGEST_EVENT)
        try:
            event = self.verifier.verify(body, request.headers.get("stripe-signature"))
        except Malformed:
            EVENTS.labels("refused").inc()
            raise
        outcome = await self._process(event)
        EVENTS.labels(outcome).inc()
        if outcome == OTHER_MODE:
            log.warning("stripe_event_of_other_mode", event_id=event.event_id)
        return JSONResponse({"received": True})

    async def _process(self, event: StripeEvent) -> str:
        if not is_meaningful(event.event_type):
            return IGNORED
        if self.processing is None:
            EVENTS.labels("postponed").inc()
            raise Unavailable("billing is off here; send it again later")
        try:
            outcome = await self.processing.process(event)
        except AppError as error:
            EVENTS.labels("failed").inc()
            log.warning(
                "stripe_event_failed",
                event_id=event.event_id,
                type=event.event_type,
                reason=error.code,
            )
            raise Unavailable("the event could not be handled; send it again later") from error
        log.info(
            "stripe_event_handled",
            event_id=event.event_id,
            type=event.event_type,
            outcome=outcome,
        )
        return outcome
