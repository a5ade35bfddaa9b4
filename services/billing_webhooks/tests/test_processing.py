"""Each event takes effect once, in whatever order and however often it comes, by what Stripe says then."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.billing_webhooks.tests.rig import event_body, open_billing, subscription_event
from services.billing_webhooks.tests.stripe_spec import example

from billing_webhooks.processing import POINTING
from pulse_common.settings import SettingsError

if TYPE_CHECKING:
    import psycopg
    from services.billing_webhooks.tests.rig import Account, Billing
    from tests.parts import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_a_subscription_gives_its_plan_and_leads_back_to_its_event(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer)

    body = subscription_event(subscription, customer, event_id=f"evt_{tenant.hex}")
    status = await billing.send(body)

    assert status == 200
    assert billing.held(tenant) == ("starter", "full", 50)
    traced = billing.all(
        "SELECT c.event_id, e.event_type, e.outcome FROM billing_changes c JOIN stripe_events e USING (event_id)"
        " WHERE c.tenant_id = %s",
        tenant,
    )
    assert traced == [(f"evt_{tenant.hex}", "customer.subscription.updated", "handled")]


async def test_the_payload_is_never_believed(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer, "price_starter")

    await billing.send(subscription_event(subscription, customer))  # says business

    assert billing.held(tenant) == ("starter", "full", 50)


async def test_a_repeat_changes_nothing_and_asks_nobody(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer)
    body = subscription_event(subscription, customer)
    await billing.send(body)
    billing.account.change_plan(subscription, "price_business")
    billing.account.set(asked=[])

    answers = [await billing.send(body) for _ in range(3)]

    assert answers == [200, 200, 200]
    assert billing.held(tenant) == ("starter", "full", 50)
    assert billing.account.state()["asked"] == []


async def test_of_parallel_deliveries_one_has_an_effect(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer)
    billing.account.set(delay=0.2, asked=[])
    body = subscription_event(subscription, customer)

    answers = await asyncio.gather(*(billing.send(body) for _ in range(8)))

    assert answers == [200] * 8
    assert billing.changes(tenant) == 1
    assert billing.account.asked("/v1/subscriptions/") == 1


async def test_of_deliveries_to_two_replicas_at_once_one_has_an_effect(
    billing: Billing, postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> None:
    async with open_billing(postgres, account, superuser) as other:
        tenant, customer = await billing.make_customer()
        subscription = account.subscribe(customer)
        account.set(delay=0.2, asked=[])
        body = subscription_event(subscription, customer)

        answers = await asyncio.gather(*(one.send(body) for one in (billing, other) * 3))

    assert answers == [200] * 6
    assert billing.changes(tenant) == 1
    assert account.asked("/v1/subscriptions/") == 1


async def test_the_first_events_of_a_customer_may_come_at_once(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer)
    billing.account.set(delay=0.2)

    answers = await asyncio.gather(
        *(billing.send(subscription_event(subscription, customer)) for _ in range(4))
    )

    assert answers == [200] * 4
    outcomes = "SELECT home_tenant_id, outcome FROM stripe_events WHERE customer_id = %s"
    assert billing.all(outcomes, customer) == [(tenant, "handled")] * 4


async def test_a_burst_of_events_about_one_subscription_asks_stripe_twice_and_tells_each_notice(
    billing: Billing,
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.change_plan(subscription, "price_business")
    billing.account.set(delay=0.2, asked=[])
    types = ["customer.subscription.updated", "invoice.paid", "invoice.finalized"] * 3
    bodies = [
        subscription_event(subscription, customer, each)
        for each in [*types, "customer.subscription.trial_will_end"]
    ]

    answers = await asyncio.gather(*(billing.send(body) for body in bodies))

    assert answers == [200] * 10
    # The first asks; of the others that came after that one asks for all, since all came before it asked.
    assert billing.account.asked("/v1/subscriptions/") <= 2
    assert billing.held(tenant) == ("business", "full", 1000)
    assert billing.notices(tenant) == ["trial_will_end"]
    handled = "SELECT count(*) FROM stripe_events WHERE home_tenant_id = %s AND outcome = 'handled'"
    assert billing.all(handled, tenant) == [(11,)]


async def test_what_came_after_stripe_was_asked_asks_again(billing: Billing) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.set(late=0.5, asked=[])
    early = asyncio.create_task(billing.send(subscription_event(subscription, customer)))
    while not billing.account.asked(f"GET /v1/subscriptions/{subscription}"):  # noqa: ASYNC110 -- another process
        await asyncio.sleep(0.01)
    billing.account.change_plan(subscription, "price_business")

    later = await billing.send(subscription_event(subscription, customer))

    assert (await early, later) == (200, 200)
    assert billing.account.asked("GET /v1/subscriptions/") == 2
    assert billing.held(tenant) == ("business", "full", 1000)


@pytest.mark.parametrize("event_type", sorted(POINTING))
async def test_each_type_that_points_at_a_subscription_brings_what_stripe_has_to_the_limits(
    billing: Billing, event_type: str
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.change_plan(subscription, "price_business")

    assert await billing.send(subscription_event(subscription, customer, event_type)) == 200

    assert billing.held(tenant) == ("business", "full", 1000)
    assert billing.all("SELECT cause FROM billing_entitlements WHERE tenant_id = %s", tenant) == [
        (event_type,)
    ]


@pytest.mark.parametrize(
    ("event_type", "status", "plan"),
    [
        ("customer.subscription.paused", "paused", "free"),
        ("customer.subscription.resumed", "active", "starter"),
        ("customer.subscription.deleted", "canceled", "free"),
        ("invoice.payment_failed", "past_due", "starter"),
    ],
)
async def test_a_state_gives_what_it_should_whatever_the_event_is_called(
    billing: Billing, event_type: str, status: str, plan: str
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.set_status(subscription, status)

    await billing.send(subscription_event(subscription, customer, event_type))

    held = billing.held(tenant)
    assert held is not None
    assert held[:2] == (plan, "full")


async def test_an_update_of_a_customer_who_is_gone_ends_its_plan(billing: Billing) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.forget(f"subscription:{subscription}")
    billing.account.forget(f"customer:{customer}")

    await billing.send(event_body("customer.updated", {"id": customer, "object": "customer"}))

    assert billing.held(tenant) == ("free", "full", 5)


async def test_features_of_a_customer_who_is_gone_are_not_asked_for_again_and_again(
    billing: Billing,
) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    billing.account.set(fail=404)
    summary = {"object": "entitlements.active_entitlement_summary", "customer": customer}
    body = event_body("entitlements.active_entitlement_summary.updated", summary)

    assert await billing.send(body) == 200

    query = (
        "SELECT outcome FROM stripe_events WHERE home_tenant_id = %s AND event_type LIKE 'ent%%'"
    )
    assert billing.all(query, tenant) == [("gone",)]


async def test_a_database_with_customers_of_the_other_mode_is_not_billed(
    postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> None:
    async with open_billing(postgres, account, superuser) as billing:
        tenant, _ = await billing.make_customer()
    superuser.execute(
        "INSERT INTO billing_customers (tenant_id, customer_id, livemode) VALUES (%s, %s, true)",
        [tenant, f"cus_{tenant.hex}"],
    )

    try:
        with pytest.raises(SettingsError, match="of the test mode, and 1 customers"):
            async with open_billing(postgres, account, superuser):
                raise AssertionError("it was opened")
    finally:
        superuser.execute("DELETE FROM billing_customers WHERE tenant_id = %s", [tenant])


async def test_events_of_one_second_in_the_wrong_order_end_with_what_stripe_has(
    billing: Billing,
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    later = subscription_event(
        subscription, customer, "customer.subscription.deleted", created=1_700_000_000
    )
    earlier = subscription_event(subscription, customer, created=1_700_000_000)
    billing.account.set_status(subscription, "canceled")

    await billing.send(later)
    await billing.send(earlier)

    assert billing.held(tenant) == ("free", "full", 5)


async def test_an_answer_that_arrives_late_cannot_undo_a_newer_one(billing: Billing) -> None:
    tenant, customer, subscription = await billing.make_subscriber("price_business")
    billing.account.change_plan(subscription, "price_starter")
    billing.account.set(late=0.7, asked=[])
    early = asyncio.create_task(billing.send(subscription_event(subscription, customer)))
    while not billing.account.asked(f"GET /v1/subscriptions/{subscription}"):  # noqa: ASYNC110 -- another process
        await asyncio.sleep(0.01)
    billing.account.set(late=0.0)
    billing.account.change(f"subscription:{subscription}", status="canceled")

    later = await billing.send(subscription_event(subscription, customer))

    assert (await early, later) == (200, 200)
    assert billing.held(tenant) == ("free", "full", 5)


async def test_when_stripe_fails_nothing_is_claimed_and_stripe_is_asked_to_come_again(
    billing: Billing,
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.change_plan(subscription, "price_business")
    body = subscription_event(subscription, customer, event_id=f"evt_{tenant.hex}")
    billing.account.set(fail=500)

    failed = await billing.send(body)
    claimed = billing.all("SELECT 1 FROM stripe_events WHERE event_id = %s", f"evt_{tenant.hex}")
    billing.account.set(fail=0)
    again = await billing.send(body)

    assert (failed, claimed, again) == (503, [], 200)
    assert billing.held(tenant) == ("business", "full", 1000)


async def test_when_stripe_does_not_answer_in_time_the_event_is_left_with_it(
    postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> None:
    more = {"STRIPE_TIMEOUT_SECONDS": "0.2"}
    async with open_billing(postgres, account, superuser, **more) as billing:
        _, customer, subscription = await billing.make_subscriber()
        account.set(delay=5.0)

        assert await billing.send(subscription_event(subscription, customer)) == 503


async def test_an_event_of_the_other_mode_touches_nothing(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer)

    status = await billing.send(subscription_event(subscription, customer, livemode=True))

    assert status == 200
    assert billing.held(tenant) is None
    assert billing.all("SELECT 1 FROM stripe_events WHERE customer_id = %s", customer) == []


async def test_a_test_clock_is_admitted_only_where_that_was_asked_for(
    postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> None:
    async with open_billing(postgres, account, superuser) as billing:
        tenant, customer, subscription = await billing.make_subscriber()
        account.change(f"subscription:{subscription}", status="canceled", test_clock="clock_1")

        await billing.send(subscription_event(subscription, customer))

        assert billing.held(tenant) == ("starter", "full", 50)
    async with open_billing(postgres, account, superuser, STRIPE_TEST_CLOCKS="true") as billing:
        await billing.send(subscription_event(subscription, customer))

        assert billing.held(tenant) == ("free", "full", 5)


async def test_another_tenants_customer_cannot_be_claimed(billing: Billing) -> None:
    victim, customer, subscription = await billing.make_subscriber("price_business")
    thief = billing.make_tenant()
    billing.account.change(f"customer:{customer}", metadata={"tenant_id": str(thief)})

    await billing.send(subscription_event(subscription, customer))

    assert billing.held(victim) == ("business", "full", 1000)
    assert billing.held(thief) is None


async def test_a_tenant_that_has_a_customer_gets_no_second_one(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber("price_starter")
    second = billing.account.make_customer(tenant)
    subscription = billing.account.subscribe(second, "price_business")

    assert await billing.send(subscription_event(subscription, second)) == 200

    assert billing.held(tenant) == ("starter", "full", 50)


async def test_a_subscription_of_another_customer_is_not_taken(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber("price_starter")
    _, other = await billing.make_customer()
    foreign = billing.account.subscribe(other, "price_business")

    assert await billing.send(subscription_event(foreign, customer)) == 200

    assert billing.held(tenant) == ("starter", "full", 50)


@pytest.mark.parametrize("metadata", [{}, {"tenant_id": "nobody"}, {"tenant_id": str(uuid4())}])
async def test_a_customer_of_nobody_is_acknowledged_and_kept_in_the_history(
    billing: Billing, metadata: dict[str, str]
) -> None:
    customer = billing.account.make_customer()
    billing.account.change(f"customer:{customer}", metadata=metadata)
    subscription = billing.account.subscribe(customer)

    assert await billing.send(subscription_event(subscription, customer)) == 200

    outcome = billing.all("SELECT outcome FROM stripe_events WHERE customer_id = %s", customer)
    assert outcome == [("no_tenant",)]


async def test_a_checkout_may_confirm_its_tenant_and_never_choose_one(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    victim = billing.make_tenant()
    subscription = billing.account.subscribe(customer)
    session = {"customer": customer, "subscription": subscription}
    right, wrong = (
        example("checkout.session", id=name, client_reference_id=str(named), **session)
        for name, named in (("cs_1", tenant), ("cs_2", victim))
    )
    billing.account.set(sessions={"cs_1": right, "cs_2": wrong})
    about = {"object": "checkout.session", "customer": customer}

    await billing.send(event_body("checkout.session.completed", {"id": "cs_2", **about}))
    refused = (billing.held(tenant), billing.held(victim))
    await billing.send(event_body("checkout.session.completed", {"id": "cs_1", **about}))

    assert refused == (None, None)
    assert billing.held(tenant) == ("starter", "full", 50)
    assert billing.held(victim) is None


@pytest.mark.parametrize("by", ["plain", "parent"])
async def test_an_invoice_refreshes_its_subscription(billing: Billing, by: str) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.change_plan(subscription, "price_business")
    about: dict[str, object] = {"id": "in_1", "object": "invoice", "customer": customer}
    about["subscription"] = subscription
    body = event_body("invoice.paid", about, api_version="2024-06-20")
    if by == "parent":
        body = subscription_event(subscription, customer, "invoice.paid")

    await billing.send(body)

    assert billing.held(tenant) == ("business", "full", 1000)


async def test_a_deleted_customer_ends_its_plan_and_makes_room_for_the_next(
    billing: Billing,
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.set_status(subscription, "canceled")
    billing.account.forget(f"customer:{customer}")

    await billing.send(event_body("customer.deleted", {"id": customer, "object": "customer"}))
    after = billing.held(tenant)
    next_customer = billing.account.make_customer(tenant)
    next_subscription = billing.account.subscribe(next_customer, "price_business")
    await billing.send(subscription_event(next_subscription, next_customer))

    assert after == ("free", "full", 5)
    assert billing.held(tenant) == ("business", "full", 1000)


async def test_features_come_from_stripe(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    billing.account.set(features={customer: ["journeys", "webhooks"]})
    summary = {"object": "entitlements.active_entitlement_summary", "customer": customer}

    await billing.send(event_body("entitlements.active_entitlement_summary.updated", summary))

    found = billing.all("SELECT features FROM billing_entitlements WHERE tenant_id = %s", tenant)
    assert found == [(["journeys", "webhooks"],)]


async def test_a_price_that_nobody_knows_leaves_the_plan_as_it_was(billing: Billing) -> None:
    tenant, customer, subscription = await billing.make_subscriber("price_business")
    billing.account.change_plan(subscription, "price_unknown")

    await billing.send(subscription_event(subscription, customer))

    assert billing.held(tenant) == ("business", "full", 1000)


@pytest.mark.parametrize(
    ("event_type", "kind"),
    [
        ("customer.subscription.trial_will_end", "trial_will_end"),
        ("invoice.payment_failed", "payment_failed"),
    ],
)
async def test_what_people_should_hear_is_told_once(
    billing: Billing, event_type: str, kind: str
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()

    for _ in range(2):
        await billing.send(subscription_event(subscription, customer, event_type))

    assert billing.notices(tenant) == [kind]


async def test_a_dispute_is_told_to_whom_its_charge_belongs(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    charge = example("charge", id="ch_x", customer=customer)
    billing.account.set(objects={"/v1/charges/ch_x": charge})
    about = {"id": "dp_1", "object": "dispute", "charge": "ch_x"}

    assert await billing.send(event_body("charge.dispute.created", about)) == 200

    assert billing.notices(tenant) == ["dispute"]
