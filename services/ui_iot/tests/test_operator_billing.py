"""Operators read in the console what a tenant pays for and why each limit holds, and have one event handled again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.rig import NOW

from pulse_common import events

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio

SUBSCRIPTION = events.SubscriptionSeen(
    subscription_id="sub_1",
    status="past_due",
    plan="starter",
    unpaid_since=NOW,
    current_period_end=None,
    stripe_event_id="evt_2",
)
TOLD = events.StripeEventSeen(
    event_id="evt_2",
    event_type="invoice.payment_failed",
    created_at=NOW,
    handled_at=NOW,
    outcome="handled",
    source="webhook",
    replays=0,
)
APPLIED = events.EntitlementsApplied(
    version=2,
    plan="starter",
    access="no_new_devices",
    limits={"devices": 50, "seats": None},
    cause="time",
    stripe_event_id="evt_2",
    applied_at=NOW,
)


@dataclass
class Billing:
    """billing_webhooks, reduced to its answers."""

    asked: list[events.Call] = field(default_factory=list)

    async def history(self, call: events.BillingHistoryRequest) -> events.BillingHistoryReply:
        self.asked.append(call)
        return events.BillingHistoryReply(
            customer_id="cus_1",
            subscriptions=[SUBSCRIPTION],
            stripe_events=[TOLD],
            entitlements=[APPLIED],
        )

    async def replay(self, call: events.ReplayRequest) -> events.ReplayReply:
        self.asked.append(call)
        return events.ReplayReply(outcome="unchanged")


@pytest.fixture
async def billing(rig: Rig) -> Billing:
    answering = Billing()
    await rig.bus.answer(events.BillingHistoryRequest, answering.history)
    await rig.bus.answer(events.ReplayRequest, answering.replay)
    return answering


async def operator(rig: Rig, role: str) -> Browser:
    claims = {"realm_access": {"roles": [role]}, "auth_time": int(NOW.timestamp())}
    browser = await rig.log_in(rig.browser(), tenant_id=..., **claims)
    await browser.page("/operator/reason")
    await browser.submit("/operator/reason", reason="ticket 12", next="/operator/tenants")
    return browser


async def test_page_shows_the_subscription_its_events_and_each_limit_with_the_event_behind_it(
    rig: Rig, acme: UUID, billing: Billing
) -> None:
    olivia = await operator(rig, "operator")

    page = await olivia.page(f"/operator/tenants/{acme}/billing")

    assert page.status_code == 200, page.text
    for said in ("cus_1", "sub_1", "past due", "invoice.payment_failed", "no new devices"):
        assert said in page.text
    assert "time <code>evt_2</code>" in page.text
    assert "Handle again" not in page.text
    asked = billing.asked[0]
    assert isinstance(asked, events.BillingHistoryRequest)
    assert asked.tenant_id == acme
    told = rig.superuser.execute(
        "SELECT reason, details ->> 'purpose' FROM audit_log WHERE tenant_id = %s AND action = 'operator.read'",
        [acme],
    ).fetchall()
    assert told == [("ticket 12", "read a tenant's bills")]


async def test_an_event_is_handled_again_for_the_reason_that_was_given(
    rig: Rig, acme: UUID, billing: Billing
) -> None:
    otto = await operator(rig, "operator-admin")
    await otto.page(f"/operator/tenants/{acme}/billing")

    sent = await otto.submit(f"/operator/tenants/{acme}/billing/replay", event_id="evt_2")
    page = await otto.page(sent.headers["location"])

    assert sent.status_code == 303
    assert "evt_2</code> changed nothing: what Stripe has holds already" in page.text
    replay = next(call for call in billing.asked if isinstance(call, events.ReplayRequest))
    assert (replay.stripe_event_id, replay.reason) == ("evt_2", "ticket 12")


@pytest.mark.parametrize("event_id", ["", "cus_1", "evt_1/../x", "evt_é", "evt_" + "1" * 300])
async def test_what_is_no_event_is_not_asked_for(
    rig: Rig, acme: UUID, billing: Billing, event_id: str
) -> None:
    otto = await operator(rig, "operator-admin")
    await otto.page(f"/operator/tenants/{acme}/billing")

    sent = await otto.submit(f"/operator/tenants/{acme}/billing/replay", event_id=event_id)

    assert sent.status_code == 400
    assert not any(isinstance(call, events.ReplayRequest) for call in billing.asked)


async def test_an_operator_who_may_only_read_and_an_old_log_in_replay_nothing(
    rig: Rig, acme: UUID, billing: Billing
) -> None:
    olivia, otto = await operator(rig, "operator"), await operator(rig, "operator-admin")
    path = f"/operator/tenants/{acme}/billing"
    for browser in (olivia, otto):
        await browser.page(path)

    refused = await olivia.submit(f"{path}/replay", event_id="evt_2")
    rig.pass_time(minutes=6)
    late = await otto.submit(f"{path}/replay", event_id="evt_2")

    assert refused.status_code == 403
    assert late.status_code != 303 or "billing?" not in late.headers["location"]
    assert not any(isinstance(call, events.ReplayRequest) for call in billing.asked)


async def test_without_a_reason_nothing_is_shown(rig: Rig, acme: UUID, billing: Billing) -> None:
    claims = {"realm_access": {"roles": ["operator"]}}
    browser = await rig.log_in(rig.browser(), tenant_id=..., **claims)

    page = await browser.page(f"/operator/tenants/{acme}/billing")

    assert page.headers["location"].startswith("/operator/reason?next=")
    assert billing.asked == []
