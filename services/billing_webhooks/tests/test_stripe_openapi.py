"""What tests call Stripe's is Stripe's: objects and requests follow its published OpenAPI, and its mock takes ours."""

from __future__ import annotations

import json
import shutil
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from services.billing_webhooks.tests.rig import KEY, event_body, subscription_event
from services.billing_webhooks.tests.stripe_spec import FIXTURES, REQUESTS, example, require_valid
from tests.parts import free_port, wait_for_port

from billing_webhooks import stripe_shapes as shapes
from billing_webhooks.domain import MEANINGFUL
from billing_webhooks.stripe_api import open_api
from billing_webhooks.stripe_events import Envelope, to_event
from pulse_common.errors import NotFound

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from services.billing_webhooks.tests.rig import Account

    from billing_webhooks.stripe_api import StripeApi

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

SUMMARY = "entitlements.active_entitlement_summary"


def event_of(event_type: str) -> str:
    if event_type == f"{SUMMARY}.updated":
        return event_body(event_type, {"object": SUMMARY, "customer": "cus_1"})
    return subscription_event("sub_1", "cus_1", event_type)


@pytest.mark.parametrize("event_type", sorted(MEANINGFUL))
def test_each_event_that_means_something_follows_stripe_and_leads_to_its_customer(
    event_type: str,
) -> None:
    body = json.loads(event_of(event_type))

    read = to_event(Envelope.model_validate(body))

    require_valid("event", body)
    require_valid(body["data"]["object"]["object"], body["data"]["object"])
    # A dispute names a charge alone.
    assert read.customer_id == "cus_1" or read.charge_id == "ch_1"
    points = event_type.startswith(("invoice.", "customer.subscription.", "checkout."))
    assert read.subscription_id == ("sub_1" if points else None)


@pytest.mark.parametrize("wrong", [{"customer": 7}, {"made_up": 1}, {"status": "wonderful"}])
def test_a_fixture_that_does_not_follow_stripe_is_found(wrong: dict[str, object]) -> None:
    with pytest.raises(AssertionError, match="not a subscription of Stripe's"):
        example("subscription", **wrong)


READ_BY: dict[str, type[BaseModel]] = {
    "subscription": shapes.SubscriptionShape,
    "customer": shapes.CustomerShape,
    "invoice": shapes.InvoiceShape,
    "charge": shapes.ChargeShape,
    "checkout.session": shapes.SessionShape,
    "billing_portal.session": shapes.LinkShape,
    "event": shapes.Envelope,
}


@pytest.mark.parametrize("kind", READ_BY)
def test_stripes_own_examples_are_read(kind: str) -> None:
    found = READ_BY[kind].model_validate({**FIXTURES[kind], "url": "https://stripe.example/"})

    assert getattr(found, "id", FIXTURES[kind]["id"]) == FIXTURES[kind]["id"]


async def ask_everything(api: StripeApi) -> None:
    """Send each request that the service ever sends."""
    for asked in (
        api.subscription("sub_1"),
        api.customer("cus_1"),
        api.charge("ch_1"),
        api.checkout_session("cs_1"),
        api.subscription_of_invoice("in_1"),
    ):
        with suppress(NotFound):
            await asked
    _ = [found async for found in api.subscriptions()]
    _ = [
        found
        async for found in api.events_since(to_event(Envelope(id="evt_1", type="x")).created_at)
    ]
    await api.features("cus_1")
    await api.invoices((await api.create_customer("tenant", "first")).id)
    await api.create_checkout(
        {
            "mode": "subscription",
            "customer": "cus_1",
            "client_reference_id": "tenant",
            "line_items": [{"price": "price_starter", "quantity": 1}],
            "subscription_data": {"metadata": {"tenant_id": "tenant"}},
            "success_url": "https://pulse.example/billing?checkout=done",
            "cancel_url": "https://pulse.example/billing",
        }
    )
    await api.create_portal({"customer": "cus_1", "return_url": "https://pulse.example/billing"})
    payload = {"stripe_customer_id": "cus_1", "value": "3"}
    meter = {"event_name": "pulse_messages", "timestamp": "1790000000", "payload": payload}
    await api.meter(meter, "tenant:messages:2026-01-01:0")


async def test_every_request_has_parameters_that_stripe_documents(account: Account) -> None:
    api = open_api(api_key=KEY, base=account.url, timeout_seconds=5)

    await ask_everything(api)
    await api.close()

    sent = {
        path: {name.partition("[")[0] for name in names} for path, names in account.state()["sent"]
    }
    assert set(REQUESTS) <= set(sent)
    for path, wanted in REQUESTS.items():
        assert sent[path] <= set(wanted["names"]), path
        assert set(wanted["required"]) <= sent[path], path


def test_what_is_answered_beside_localstripe_follows_stripe(account: Account) -> None:
    back = "https://pulse.example/billing"
    account.set(features={"cus_1": ["sso"]})
    session = account.post(
        "/v1/checkout/sessions",
        mode="subscription",
        customer="cus_1",
        client_reference_id="tenant",
        success_url=back,
        cancel_url=back,
    )
    portal = account.post("/v1/billing_portal/sessions", customer="cus_1", return_url=back)
    meter = account.post(
        "/v1/billing/meter_events",
        event_name="pulse_messages",
        timestamp="1790000000",
        identifier="one",
        **{"payload[stripe_customer_id]": "cus_1", "payload[value]": "3"},
    )
    listed = account.http.get(
        f"{account.url}/v1/entitlements/active_entitlements",
        params={"customer": "cus_1"},
        auth=(KEY, ""),
    ).json()

    require_valid("checkout.session", session)
    require_valid("billing_portal.session", portal)
    require_valid("billing.meter_event", meter)
    require_valid("entitlements.active_entitlement", listed["data"][0])


@pytest.fixture
def stripe_mock() -> Iterator[str]:
    """Start Stripe's own mock, which refuses what its OpenAPI does not allow; few machines have it."""
    program = shutil.which("stripe-mock")
    if program is None:
        pytest.skip(
            "stripe-mock is not installed (go install github.com/stripe/stripe-mock@latest)"
        )
    port = free_port()
    process = subprocess.Popen(
        [program, "-http-addr", f"127.0.0.1:{port}"], stdout=subprocess.DEVNULL
    )
    try:
        wait_for_port(port, 20)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


async def test_stripes_own_mock_takes_every_request_and_its_answers_are_read(
    stripe_mock: str,
) -> None:
    api = open_api(api_key="sk_test_123", base=stripe_mock, timeout_seconds=10)

    await ask_everything(api)
    await api.close()
