"""Stripe events that nobody here wrote: each is answered, takes effect once, and nothing of a person reaches a log."""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from services.billing_webhooks.tests.rig import subscription_event
from tests.log_grep import AMOUNT, PERSON

if TYPE_CHECKING:
    from services.billing_webhooks.tests.rig import Billing

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]

SHARED = Path(__file__).parents[4] / "shared/corpora"
EVENTS = SHARED / "stripe-events/events"
NAMES = SHARED / "fuzz-strings"


def bodies() -> list[str]:
    if not EVENTS.exists():
        pytest.skip(f"the corpus of Stripe events is not at {EVENTS}")
    return [path.read_text() for path in sorted(EVENTS.glob("*.json"))]


async def test_each_is_acknowledged_in_any_order_and_however_often(billing: Billing) -> None:
    found = bodies()
    shuffled = found * 3
    random.Random(8).shuffle(shuffled)  # noqa: S311 -- a fixed order, not a secret

    answers = [await billing.send(body) for body in shuffled]

    assert len(found) > 50
    assert set(answers) == {200}
    ids = {json.loads(body)["id"] for body in found}
    kept = billing.all("SELECT event_id FROM stripe_events WHERE event_id = ANY(%s)", list(ids))
    assert len(kept) == len(set(kept)) > 5


async def test_without_stripe_the_same_events_are_left_with_it(billing: Billing) -> None:
    billing.account.set(fail=503)

    answers = {await billing.send(body) for body in bodies()}

    assert answers <= {200, 503}


PRIVATE: dict[str, str | int] = {
    "name": PERSON["name"],
    "email": PERSON["email"],
    "phone": PERSON["phone"],
    "line1": PERSON["address"],
    "last4": "last-four-private",
    "number": PERSON["card"],
    "amount_due": AMOUNT,
}


async def test_nothing_of_a_person_and_no_amount_reaches_a_log(
    billing: Billing, capsys: pytest.CaptureFixture[str]
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.change(f"customer:{customer}", **PRIVATE)
    event_types = (
        "customer.updated",
        "customer.subscription.updated",
        "invoice.payment_failed",
        "charge.dispute.created",
        "balance.available",
        "checkout.session.completed",
    )
    for event_type in event_types:
        for fail in (0, 400, 500):
            billing.account.set(fail=fail)
            envelope = json.loads(subscription_event(subscription, customer, event_type))
            envelope["data"]["object"].update(PRIVATE, customer_details=PRIVATE)
            await billing.send(json.dumps(envelope))
    await billing.send(json.dumps({"id": "x", "type": "é", "data": {"object": PRIVATE}}))

    logged = "".join(capsys.readouterr())

    assert "stripe_event_handled" in logged
    assert str(tenant) in logged
    for value in PRIVATE.values():
        assert str(value) not in logged
    assert not re.search(r"[\w.+-]+@[\w-]+\.\w+", logged)
