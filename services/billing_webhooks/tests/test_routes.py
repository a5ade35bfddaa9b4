from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import stripe
from prometheus_client import REGISTRY
from services.billing_webhooks.tests.rig import settings_of
from starlette.testclient import TestClient

from billing_webhooks.app import create_app, mode
from billing_webhooks.handlers import LARGEST_EVENT, Webhooks
from billing_webhooks.settings import Settings
from billing_webhooks.stripe_events import Verifier
from pulse_common.health import Readiness
from pulse_common.settings import SettingsError, load

CURRENT, PREVIOUS = "whsec_current_secret", "whsec_previous_secret"
CORPUS = Path(__file__).parents[4] / "shared/corpora/stripe-events/events"
IGNORED = json.dumps({"id": "evt_1", "type": "balance.available", "data": {}})
MEANINGFUL = json.dumps({"id": "evt_2", "type": "invoice.paid", "data": {}})


@pytest.fixture
def client() -> TestClient:
    return TestClient(
        create_app(webhooks=Webhooks(Verifier([CURRENT, PREVIOUS]), None), readiness=Readiness())
    )


def sign(body: str, secret: str = CURRENT, age: int = 0) -> bytes:
    timestamp = int(time.time()) - age
    header = stripe.WebhookSignature.generate_signature_header(body, secret, timestamp)
    return str(header).encode()


def post(client: TestClient, body: str | bytes, signature: bytes | None) -> int:
    headers = {} if signature is None else {b"stripe-signature": signature}
    return client.post("/webhooks/stripe", content=body, headers=headers).status_code


def test_verified_event_of_no_concern_is_acknowledged(client: TestClient) -> None:
    assert post(client, IGNORED, sign(IGNORED)) == 200


def test_where_nothing_is_billed_an_event_that_matters_is_left_with_stripe(
    client: TestClient,
) -> None:
    assert post(client, MEANINGFUL, sign(MEANINGFUL)) == 503


@pytest.mark.parametrize("position", [0, 1])
def test_each_use_of_a_signing_secret_is_counted_by_its_place(
    client: TestClient, position: int
) -> None:
    def uses() -> list[float]:
        name = "pulse_stripe_signing_secret_used_total"
        return [REGISTRY.get_sample_value(name, {"position": str(n)}) or 0 for n in (0, 1)]

    before = uses()
    for age in (0, 290, -60):  # a clock of ours that is behind, too
        assert post(client, IGNORED, sign(IGNORED, [CURRENT, PREVIOUS][position], age)) == 200
    assert post(client, IGNORED, sign(IGNORED, "whsec_of_somebody_else")) == 400

    grown = [after - was for after, was in zip(uses(), before, strict=True)]
    assert grown == [3.0 if n == position else 0.0 for n in (0, 1)]


@pytest.mark.parametrize(
    "signature",
    [
        None,
        b"",
        b"t=1,v1=00",
        b"nonsense",
        "t=1,v1=é".encode(),
        b"t=1,v1=\xff",
        sign(IGNORED, "whsec_of_somebody_else"),
        sign(IGNORED, age=301),
        sign(IGNORED + " "),
    ],
    ids=range(9),
)
def test_bad_signature_is_refused(client: TestClient, signature: bytes | None) -> None:
    assert post(client, IGNORED, signature) == 400


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "1",
        '"x"',
        "{}",
        "{",
        "[" * 5000,
        '{"id": "evt_\\u0000", "type": "a"}',
        '{"id": 1, "type": "a"}',
        '{"id": "evt_1", "type": "A B"}',
        '{"id": "evt_\\ud800", "type": "a"}',
        '{"id": "evt_1", "type": "a", "created": 1e400}',
        '{"id": "evt_1", "type": "a", "created": 99999999999999999}',
        '{"id": "evt_1", "type": "a", "livemode": "no"}',
        '{"id": "evt_1", "type": "a", "data": []}',
        '{"id": "evt_1", "type": "a", "data": {"object": {"id": "\\u0000"}}}',
    ],
    ids=range(15),
)
def test_signed_nonsense_is_refused(client: TestClient, body: str) -> None:
    assert post(client, body, sign(body)) == 400


def test_body_that_is_not_utf_8_is_refused(client: TestClient) -> None:
    assert post(client, b"\xff" * 20, sign("x")) == 400


def test_huge_body_is_refused(client: TestClient) -> None:
    assert post(client, b" " * (LARGEST_EVENT + 1), sign(" ")) == 413


def test_events_nobody_here_wrote_are_never_a_500(client: TestClient) -> None:
    if not CORPUS.exists():
        pytest.skip(f"the corpus of Stripe events is not at {CORPUS}")
    bodies = [path.read_text() for path in sorted(CORPUS.glob("*.json"))]

    answers = {post(client, body, sign(body)) for body in bodies}

    assert len(bodies) > 50
    assert answers <= {200, 503}


def test_every_mistake_is_listed_at_once() -> None:
    with pytest.raises(SettingsError) as caught:
        load(Settings, {"STRIPE_WEBHOOK_SECRETS": f"{CURRENT},short"})

    assert "STRIPE_WEBHOOK_SECRETS: " in str(caught.value)
    assert "DATABASE_URL is required" in str(caught.value)
    assert "PULSE_ENV is required" in str(caught.value)
    assert CURRENT not in str(caught.value)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("", "off: every tenant has the plan unlimited"),
        ("sk_test_something", "stripe, test mode"),
        ("rk_live_something", "stripe, live mode"),
    ],
)
def test_readiness_says_whether_and_how_anything_is_billed(key: str, said: str) -> None:
    settings = settings_of(
        "postgresql://x:secret-enough-to-be-one@h/d", "http://s", STRIPE_API_KEY=key
    )
    readiness = Readiness()
    readiness.note("billing", mode(settings))
    webhooks = Webhooks(Verifier([]), None)

    answer = TestClient(create_app(webhooks=webhooks, readiness=readiness)).get("/readyz")

    assert answer.json() == {"status": "ready", "billing": said}


@pytest.mark.parametrize(
    ("wrong", "mistake"),
    [
        ({"STRIPE_API_KEY": "pk_live_x"}, "STRIPE_API_KEY"),
        ({"STRIPE_WEBHOOK_SECRETS": ""}, "STRIPE_WEBHOOK_SECRETS is required"),
        ({"STRIPE_API_KEY": "sk_live_x", "STRIPE_TEST_CLOCKS": "true"}, "STRIPE_TEST_CLOCKS"),
        ({"STRIPE_PRICES": "price_a"}, "STRIPE_PRICES"),
    ],
)
def test_settings_that_would_mix_modes_or_sell_nothing_are_refused(
    wrong: dict[str, str], mistake: str
) -> None:
    with pytest.raises(SettingsError, match=mistake):
        settings_of("postgresql://x:secret-enough-to-be-one@h/d", "http://s", **wrong)
