"""Administrators see what they pay for and are led to Stripe and nowhere else; operators ask through the API."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import ISSUER, NOW

from pulse_common import events

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio

OVERVIEW = events.BillingReply(
    mode="stripe",
    plan="starter",
    plan_name="Starter",
    access="full",
    status="active",
    unpaid_since=None,
    current_period_end=None,
    cancels_at_period_end=False,
    usage=[events.Usage(name="devices", used=41, limit=50)],
    features=[],
    offers=["starter", "business"],
    has_customer=True,
    invoices=[],
)


@dataclass
class Billing:
    """billing_webhooks, reduced to its answers."""

    overview: events.BillingReply = OVERVIEW
    url: str = "https://checkout.stripe.com/c/pay/cs_1"
    asked: list[events.Call] = field(default_factory=list)

    async def show(self, call: events.BillingRequest) -> events.BillingReply:
        self.asked.append(call)
        return self.overview

    async def link(self, call: events.BillingLinkRequest) -> events.BillingLinkReply:
        self.asked.append(call)
        return events.BillingLinkReply(url=self.url)


@pytest.fixture
async def billing(rig: Rig) -> Billing:
    answering = Billing()
    await rig.bus.answer(events.BillingRequest, answering.show)
    await rig.bus.answer(events.BillingLinkRequest, answering.link)
    return answering


async def test_an_administrator_sees_plan_and_use(
    rig: Rig, alice: Browser, acme: UUID, billing: Billing
) -> None:
    page = await alice.page("/billing")

    assert page.status_code == 200
    assert "Starter" in page.text
    assert 'value="82"' in page.text
    assert billing.asked == [events.BillingRequest(tenant_id=acme, with_invoices=True)]


async def test_what_is_unpaid_and_what_follows_is_said(alice: Browser, billing: Billing) -> None:
    billing.overview = OVERVIEW.model_copy(
        update={"unpaid_since": NOW, "access": "no_new_devices", "invoices": None}
    )

    page = await alice.page("/billing")

    assert "No device can be added until it is paid; your devices stay connected." in page.text
    assert "Stripe does not answer just now" in page.text


async def test_an_installation_without_billing_says_so(alice: Browser, billing: Billing) -> None:
    billing.overview = OVERVIEW.model_copy(
        update={"mode": "none", "plan_name": "Unlimited", "status": None, "offers": []}
    )

    page = await alice.page("/billing")

    assert "Nothing is billed on this installation" in page.text
    assert "/billing/portal" not in page.text


@pytest.mark.parametrize(
    ("path", "fields", "plan"),
    [("/billing/checkout", {"plan": "starter"}, "starter"), ("/billing/portal", {}, None)],
)
async def test_an_administrator_is_led_to_stripe_for_their_own_tenant(
    alice: Browser, acme: UUID, billing: Billing, path: str, fields: dict[str, str], plan: str
) -> None:
    await alice.page("/billing")

    answer = await alice.submit(path, **fields)

    assert (answer.status_code, answer.headers["location"]) == (303, billing.url)
    asked = billing.asked[-1]
    assert isinstance(asked, events.BillingLinkRequest)
    assert (asked.tenant_id, asked.plan) == (acme, plan)
    assert "https://checkout.stripe.com" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/c/pay",
        "http://checkout.stripe.com/",
        "https://checkout.stripe.com@evil.example/",
        "https://checkout.stripe.com.evil.example/",
        "javascript:alert(1)",
    ],
)
async def test_nobody_is_led_anywhere_else(alice: Browser, billing: Billing, url: str) -> None:
    await alice.page("/billing")
    billing.url = url

    answer = await alice.submit("/billing/portal")

    assert answer.status_code == 503
    assert "location" not in answer.headers


async def test_a_program_reads_plan_usage_against_limits_and_the_event_behind_them(
    rig: Rig, acme: UUID, billing: Billing
) -> None:
    billing.overview = OVERVIEW.model_copy(
        update={
            "version": 3,
            "cause": "invoice.paid",
            "stripe_event_id": "evt_3",
            "applied_at": NOW,
            "usage": [
                events.Usage(name="devices", used=60, limit=50),
                events.Usage(name="retention_days", used=None, limit=30),
                events.Usage(name="messages_per_month", used=5, limit=None),
            ],
        }
    )

    answer = await rig.browser().get("/api/v2/billing", headers=rig.bearer(acme))

    found = answer.json()
    assert answer.status_code == 200
    assert (found["plan"], found["subscription_status"], found["mode"]) == (
        "starter",
        "active",
        "stripe",
    )
    assert [use["percent"] for use in found["usage"]] == [120, None, None]
    assert found["applied"] == {
        "version": 3,
        "cause": "invoice.paid",
        "stripe_event_id": "evt_3",
        "applied_at": "2026-01-01T12:00:00Z",
    }
    assert billing.asked == [events.BillingRequest(tenant_id=acme, with_invoices=False)]


async def test_a_program_reads_invoices_and_is_told_when_stripe_is_away(
    rig: Rig, acme: UUID, billing: Billing
) -> None:
    invoice = events.Invoice(
        invoice_id="in_1",
        status="paid",
        created_at=NOW,
        amount_due=4900,
        currency="eur",
        hosted_url="https://invoice.stripe.com/i/1",
    )
    billing.overview = OVERVIEW.model_copy(update={"invoices": [invoice]})
    browser, path = rig.browser(), "/api/v2/billing/invoices"

    read = await browser.get(path, headers=rig.bearer(acme))
    billing.overview = OVERVIEW.model_copy(update={"invoices": None})
    away = await browser.get(path, headers=rig.bearer(acme))

    assert [(i["id"], i["amount_due"]) for i in read.json()["invoices"]] == [("in_1", 4900)]
    assert away.status_code == 503


@pytest.mark.parametrize(
    ("what", "body", "plan"),
    [("checkout", {"plan": "business"}, "business"), ("portal", None, None)],
)
async def test_a_program_gets_a_link_to_stripe_for_its_own_tenant_and_nowhere_else(
    rig: Rig, acme: UUID, billing: Billing, what: str, body: object, plan: str | None
) -> None:
    browser, path = rig.browser(), f"/api/v2/billing/{what}"

    made = await browser.post(path, headers=rig.bearer(acme), json=body)
    billing.url = "https://evil.example/"
    elsewhere = await browser.post(path, headers=rig.bearer(acme), json=body)
    customer = await browser.post(path, headers=rig.bearer(acme, "customer"), json=body)

    assert (made.status_code, made.json()) == (
        201,
        {"url": "https://checkout.stripe.com/c/pay/cs_1"},
    )
    assert (elsewhere.status_code, customer.status_code) == (503, 403)
    asked = billing.asked[0]
    assert isinstance(asked, events.BillingLinkRequest)
    assert (asked.tenant_id, asked.plan) == (acme, plan)


async def test_the_page_says_which_event_the_limits_follow_from(
    alice: Browser, billing: Billing
) -> None:
    billing.overview = OVERVIEW.model_copy(
        update={
            "version": 3,
            "cause": "invoice.paid",
            "stripe_event_id": "evt_3",
            "applied_at": NOW,
        }
    )

    page = await alice.page("/billing")

    assert "by Stripe's invoice.paid (event <code>evt_3</code>)" in page.text.replace("&#39;", "'")


async def test_routes_and_seats_in_use_are_shown_against_their_limits(
    rig: Rig, acme: UUID, billing: Billing
) -> None:
    for name in ("anna", "bert"):
        rig.realm.person(acme, email=f"{name}@acme.example")
    rig.superuser.execute(
        "INSERT INTO routes (tenant_id, route_id, name, url, event_types, secret_sealed)"
        " VALUES (%s, gen_random_uuid(), 'R', 'https://a.example/', '{telemetry}', 'x')",
        [acme],
    )
    billing.overview = OVERVIEW.model_copy(
        update={
            "usage": [
                events.Usage(name="routes", used=None, limit=5),
                events.Usage(name="seats", used=None, limit=5),
            ]
        }
    )

    answer = await rig.browser().get("/api/v2/billing", headers=rig.bearer(acme))

    used = {use["name"]: (use["used"], use["percent"]) for use in answer.json()["usage"]}
    assert used == {"routes": (1, 20), "seats": (2, 40)}


async def test_customers_do_not_see_billing(rig: Rig, acme: UUID, billing: Billing) -> None:
    bob = await rig.person(acme, "customer")

    answers = [await bob.page("/billing"), await bob.submit("/billing/portal")]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert billing.asked == []


async def test_operators_ask_for_history_and_only_their_administrators_change(
    rig: Rig, acme: UUID, alice: Browser, billing: Billing
) -> None:
    heard: list[events.Call] = []

    async def history(call: events.BillingHistoryRequest) -> events.BillingHistoryReply:
        heard.append(call)
        return events.BillingHistoryReply(
            customer_id="cus_1", subscriptions=[], stripe_events=[], entitlements=[]
        )

    async def replay(call: events.ReplayRequest) -> events.ReplayReply:
        heard.append(call)
        return events.ReplayReply(outcome="handled")

    await rig.bus.answer(events.BillingHistoryRequest, history)
    await rig.bus.answer(events.ReplayRequest, replay)
    root = "/api/v2/operator/billing"
    browser = rig.browser()

    def bearer(role: str) -> dict[str, str]:
        token = ISSUER.token(tenant_id=..., realm_access={"roles": [role]})
        return {"authorization": f"Bearer {token}", "operator-reason": "ticket%2012"}

    assert (await alice.get(f"{root}/tenants/{acme}")).status_code == 403
    silent = {**bearer("operator"), "operator-reason": ""}
    assert (await browser.get(f"{root}/tenants/{acme}", headers=silent)).status_code == 400
    assert heard == []
    read = await browser.get(f"{root}/tenants/{acme}", headers=bearer("operator"))
    refused = await browser.post(
        f"{root}/stripe-events/evt_1/replay", json={"reason": "x"}, headers=bearer("operator")
    )
    replayed = await browser.post(
        f"{root}/stripe-events/evt_1/replay", json={"reason": "x"}, headers=bearer("operator-admin")
    )

    assert (read.status_code, read.json()["customer_id"]) == (200, "cus_1")
    assert refused.status_code == 403
    assert (replayed.status_code, replayed.json()) == (200, {"outcome": "handled"})
    assert len(heard) == 2
    looks = (await alice.get("/api/v2/access")).json()["accesses"]
    assert [(look["purpose"], look["reason"]) for look in looks] == [
        ("read a tenant's bills", "ticket 12")
    ]
