"""What customers and operators ask of billing over the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.billing_webhooks.tests.rig import (
    event_body,
    open_billing,
    pointing,
    subscription_event,
)
from services.billing_webhooks.tests.stripe_spec import example

from pulse_common import events
from pulse_common.errors import Conflict, Malformed, NotFound

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg
    from services.billing_webhooks.tests.rig import Account, Billing
    from tests.parts import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def wanted(tenant: UUID, plan: str | None) -> events.BillingLinkRequest:
    return events.BillingLinkRequest(tenant_id=tenant, actor_id="alice", plan=plan)


async def test_checkout_is_for_the_tenants_own_customer_and_comes_back_to_us(
    billing: Billing,
) -> None:
    tenant = billing.make_tenant()

    links = [await billing.parts.links.link(wanted(tenant, "starter")) for _ in range(2)]

    sessions = list(billing.account.state()["sessions"].values())
    customers = billing.all(
        "SELECT customer_id FROM billing_customers WHERE tenant_id = %s", tenant
    )
    assert links[0].url == "https://checkout.stripe.com/c/pay/cs_test_0"
    assert {(session["customer"],) for session in sessions} == set(customers)
    assert {session["client_reference_id"] for session in sessions} == {str(tenant)}
    assert {session["success_url"] for session in sessions} == {
        "https://pulse.example/billing?checkout=done"
    }
    assert (
        billing.all("SELECT action, actor_id FROM audit_log WHERE tenant_id = %s", tenant)
        == [("billing.checkout", "alice")] * 2
    )


async def test_a_second_subscription_is_not_sold(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()

    with pytest.raises(Conflict):
        await billing.parts.links.link(wanted(tenant, "business"))


async def test_only_what_has_a_price_is_sold_and_only_to_tenants(billing: Billing) -> None:
    with pytest.raises(Malformed):
        await billing.parts.links.link(wanted(billing.make_tenant(), "unlimited"))
    with pytest.raises(NotFound):
        await billing.parts.links.link(wanted(uuid4(), "starter"))


async def test_the_portal_needs_a_customer_and_comes_back_to_us(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()

    link = await billing.parts.links.link(wanted(tenant, None))

    assert link.url == "https://billing.stripe.com/p/session/1"
    with pytest.raises(Conflict):
        await billing.parts.links.link(wanted(billing.make_tenant(), None))


async def test_the_page_shows_plan_use_and_invoices(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()

    found = await billing.parts.links.overview(
        events.BillingRequest(tenant_id=tenant, with_invoices=True)
    )

    assert (found.mode, found.plan, found.plan_name) == ("stripe", "starter", "Starter")
    assert found.status == "active"
    assert events.Usage(name="devices", used=0, limit=50) in found.usage
    assert found.invoices is not None
    assert [invoice.status for invoice in found.invoices] == ["paid"]
    assert found.offers == ["starter", "business"]


async def test_the_page_is_shown_without_invoices_while_stripe_is_away(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    billing.account.set(fail=500)

    found = await billing.parts.links.overview(
        events.BillingRequest(tenant_id=tenant, with_invoices=True)
    )

    assert (found.plan, found.invoices) == ("starter", None)


async def test_without_keys_every_tenant_has_the_default_plan_and_nothing_is_sold(
    postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> None:
    async with open_billing(postgres, account, superuser, STRIPE_API_KEY="") as billing:
        tenant = billing.make_tenant()
        await billing.parts.sweeping.run_once()
        await billing.parts.metering.run_once()

        found = await billing.parts.links.overview(
            events.BillingRequest(tenant_id=tenant, with_invoices=True)
        )

        assert (found.mode, found.plan, found.offers, found.invoices) == (
            "none",
            "unlimited",
            [],
            [],
        )
        assert billing.held(tenant) == ("unlimited", "full", None)
        with pytest.raises(Conflict):
            await billing.parts.links.link(wanted(tenant, "starter"))
        assert await billing.send(subscription_event("sub_1", "cus_1")) == 503


async def test_an_operator_sees_every_limit_and_the_event_that_caused_it(billing: Billing) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.change_plan(subscription, "price_business")
    await billing.send(subscription_event(subscription, customer, event_id=f"evt_{tenant.hex}"))

    found = await billing.parts.operators.history(
        events.BillingHistoryRequest(tenant_id=tenant, actor_id="olivia")
    )

    assert found.customer_id == customer
    assert [(e.plan, e.limits["devices"]) for e in found.entitlements] == [
        ("business", 1000),
        ("starter", 50),
    ]
    assert found.entitlements[0].stripe_event_id == f"evt_{tenant.hex}"
    assert f"evt_{tenant.hex}" in {e.event_id for e in found.stripe_events}
    assert [s.status for s in found.subscriptions] == ["active"]


async def test_a_replay_brings_what_stripe_has_now_and_is_audited(billing: Billing) -> None:
    tenant, _, subscription = await billing.make_subscriber()
    await billing.parts.reconciler.run_once()
    (event_id,) = billing.all(
        "SELECT event_id FROM stripe_events WHERE home_tenant_id = %s AND source = 'backfill'"
        " AND event_type = 'customer.subscription.created'",
        tenant,
    )[0]
    billing.account.change_plan(subscription, "price_business")
    request = events.ReplayRequest(stripe_event_id=event_id, actor_id="olivia", reason="ticket 1")

    outcomes = [(await billing.parts.operators.replay(request)).outcome for _ in range(2)]

    assert outcomes == ["handled", "handled"]
    assert billing.held(tenant) == ("business", "full", 1000)
    assert billing.changes(tenant) == 2
    assert billing.all("SELECT replays FROM stripe_events WHERE event_id = %s", event_id) == [(2,)]
    audited = billing.all("SELECT actor_kind, reason FROM audit_log WHERE object_id = %s", event_id)
    assert audited == [("operator", "ticket 1")] * 2


@pytest.mark.parametrize(
    "event_type",
    ["customer.subscription.updated", "invoice.paid", "checkout.session.completed"],
)
async def test_an_event_that_stripe_keeps_no_longer_is_replayed_by_the_ids_that_we_kept(
    billing: Billing, event_type: str
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    event_id = f"evt_{tenant.hex}"  # made here: the account at Stripe never had such an event
    about = pointing(event_type, subscription, customer)
    session = example("checkout.session", id="cs_9", customer=customer, subscription=subscription)
    billing.account.set(objects={"/v1/invoices/in_7": about}, sessions={"cs_9": session})
    kept = {**about, "id": "cs_9"} if event_type.startswith("checkout") else about
    await billing.send(event_body(event_type, kept, event_id=event_id))
    billing.account.change_plan(subscription, "price_business")

    request = events.ReplayRequest(stripe_event_id=event_id, actor_id="olivia", reason="ticket 2")
    outcome = (await billing.parts.operators.replay(request)).outcome

    assert outcome == "handled"
    assert billing.held(tenant) == ("business", "full", 1000)


async def test_an_event_that_never_came_cannot_be_replayed(billing: Billing) -> None:
    request = events.ReplayRequest(stripe_event_id="evt_none", actor_id="olivia", reason="x")

    with pytest.raises(NotFound):
        await billing.parts.operators.replay(request)
