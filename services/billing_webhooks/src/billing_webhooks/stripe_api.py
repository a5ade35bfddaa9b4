"""Everything that is asked of Stripe: the official library's requests over our HTTP client, answered with typed values.

The library signs, retries and reads errors; a body is parsed here, by models that take what we use and nothing else.
"""

from __future__ import annotations

import logging
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp
import stripe
import structlog
from pydantic import BaseModel, ValidationError

from billing_webhooks import stripe_shapes as shapes
from billing_webhooks.stripe_http import Http
from pulse_common.errors import Malformed, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from billing_webhooks.domain import StripeEvent, Subscription

log = structlog.get_logger(__name__)
M = TypeVar("M", bound=BaseModel)
PAGE = 100
RETRIES = 1
MOST_CONNECTIONS = 40


@dataclass(frozen=True, slots=True)
class StripeApi:
    """One account in one mode.  Every method raises Unavailable when Stripe cannot be asked, and NotFound for a 404."""

    client: stripe.StripeClient
    session: aiohttp.ClientSession

    async def close(self) -> None:
        await self.session.close()

    async def subscription(self, subscription_id: str) -> Subscription:
        found = await self._get(f"/v1/subscriptions/{subscription_id}", shapes.SubscriptionShape)
        return found.to_subscription()

    async def subscriptions(self) -> AsyncIterator[Subscription]:
        """Yield all of them, ended ones too: leaving those out would leave a tenant on its plan for ever."""
        async for found in self._pages(
            "/v1/subscriptions", shapes.SubscriptionShape, {"status": "all"}
        ):
            yield found.to_subscription()

    async def customer(self, customer_id: str) -> shapes.CustomerShape:
        return await self._get(f"/v1/customers/{customer_id}", shapes.CustomerShape)

    async def charge(self, charge_id: str) -> shapes.ChargeShape:
        return await self._get(f"/v1/charges/{charge_id}", shapes.ChargeShape)

    async def checkout_session(self, session_id: str) -> shapes.SessionShape:
        return await self._get(f"/v1/checkout/sessions/{session_id}", shapes.SessionShape)

    async def subscription_of_invoice(self, invoice_id: str) -> str | None:
        """Return what an invoice is for; None when Stripe does not have it, or it is for no subscription."""
        try:
            found = await self._get(f"/v1/invoices/{invoice_id}", shapes.Whole)
        except NotFound:
            return None
        return shapes.subscription_of(found.root)

    async def events_since(self, since: datetime) -> AsyncIterator[StripeEvent]:
        """Yield events from the newest to those of ``since``; Stripe keeps them for 30 days."""
        wanted = {"created[gte]": str(int(since.timestamp()))}
        async for found in self._pages("/v1/events", shapes.Envelope, wanted):
            try:
                yield shapes.event_of(found)
            except (
                Malformed
            ):  # one that could never be handled must not stand in the way of all others
                log.warning("stripe_event_unreadable")

    async def features(self, customer_id: str) -> list[str]:
        wanted = {"customer": customer_id}
        pages = self._pages("/v1/entitlements/active_entitlements", shapes.FeatureShape, wanted)
        return sorted([found.lookup_key async for found in pages])

    async def invoices(self, customer_id: str) -> list[shapes.InvoiceShape]:
        params = {"customer": customer_id, "limit": 12}
        page = await self._request("get", "/v1/invoices", shapes.Page, params)
        return [_parse(shapes.InvoiceShape, item) for item in page.data]

    async def create_customer(self, tenant_id: str, attempt: str) -> shapes.CustomerShape:
        """Make the customer of a tenant; the same ``attempt`` within a day gets the same one."""
        params = {"metadata": {"tenant_id": tenant_id}}
        key = f"pulse-customer-{tenant_id}-{attempt}"
        return await self._request("post", "/v1/customers", shapes.CustomerShape, params, key)

    async def create_checkout(self, params: dict[str, Any]) -> str:
        return (await self._request("post", "/v1/checkout/sessions", shapes.LinkShape, params)).url

    async def create_portal(self, params: dict[str, Any]) -> str:
        path = "/v1/billing_portal/sessions"
        return (await self._request("post", path, shapes.LinkShape, params)).url

    async def meter(self, params: dict[str, Any], identifier: str) -> bool:
        """Return whether Stripe took it; what it does not take, for its customer or its age, it won't in a minute."""
        params = {**params, "identifier": identifier}
        path = "/v1/billing/meter_events"
        try:
            await self._request("post", path, shapes.Anything, params, identifier)
        except (NotFound, RefusedByStripe):
            return False
        return True

    async def _get(self, path: str, model: type[M]) -> M:
        return await self._request("get", path, model, {})

    async def _pages(self, path: str, model: type[M], params: dict[str, str]) -> AsyncIterator[M]:
        after: dict[str, str] = {}
        while True:
            wanted = {**params, "limit": PAGE, **after}
            page = await self._request("get", path, shapes.Page, wanted)
            for item in page.data:
                yield _parse(model, item)
            if not page.has_more or not page.data:
                return
            after = {"starting_after": str(page.data[-1]["id"])}

    async def _request(
        self, method: str, path: str, model: type[M], params: dict[str, Any], key: str | None = None
    ) -> M:
        options = {"idempotency_key": key} if key else {}
        try:
            answer = await self.client.raw_request_async(method, path, **params, **options)
        except stripe.StripeError as error:
            raise _refusal(error, path) from error
        return _parse(model, answer.data)


def open_api(*, api_key: str, base: str, timeout_seconds: float) -> StripeApi:
    """Make a client that asks ``base``; its connections are kept between requests."""
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(
            limit=MOST_CONNECTIONS, ssl=ssl.create_default_context(cafile=stripe.ca_bundle_path)
        ),
        timeout=aiohttp.ClientTimeout(total=timeout_seconds),
        cookie_jar=aiohttp.DummyCookieJar(),
    )
    stripe.enable_telemetry = False
    # Its own lines repeat Stripe's error messages, and those what a customer typed.
    logging.getLogger("stripe").setLevel(logging.WARNING)
    client = stripe.StripeClient(
        api_key,
        base_addresses={"api": base},
        max_network_retries=RETRIES,
        http_client=Http(session),
    )
    return StripeApi(client, session)


class RefusedByStripe(Unavailable):
    """Stripe understood the request, and does not want it as it is."""


def _refusal(error: stripe.StripeError, path: str) -> NotFound | Unavailable:
    # Stripe's own words may repeat what a customer typed: kind and status are enough.
    if error.http_status == 404:  # noqa: PLR2004 -- HTTP's number
        return NotFound("Stripe has no such object")
    kind = path.split("/")[2]
    log.warning("stripe_refused", kind=kind, status=error.http_status, error=type(error).__name__)
    if error.http_status == 400:  # noqa: PLR2004 -- HTTP's number
        return RefusedByStripe("Stripe refused the request")
    return Unavailable("Stripe could not be asked")


def _parse(model: type[M], value: object) -> M:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        fields = sorted({".".join(map(str, e["loc"])) for e in error.errors(include_input=False)})
        log.warning("stripe_answer_unreadable", model=model.__name__, fields=fields)
        raise Unavailable("Stripe's answer could not be read") from None
