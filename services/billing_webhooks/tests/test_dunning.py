"""An unpaid bill keeps its service for a while, then loses it by stated steps, and has it back at once when paid."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from services.billing_webhooks.tests.rig import subscription_event

from billing_webhooks import domain
from billing_webhooks.domain import Dunning, Held, Plan
from billing_webhooks.sweeping import repeat
from pulse_common.errors import AppError, Malformed, NotFound, Unavailable
from pulse_common.events import OverrideRequest

if TYPE_CHECKING:
    from services.billing_webhooks.tests.rig import Billing

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.mark.anyio
async def test_service_stays_then_degrades_by_steps_with_a_notice_each_and_recovers_when_paid(
    billing: Billing,
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.set_status(subscription, "past_due")
    await billing.send(subscription_event(subscription, customer))
    access = [_access(billing, tenant)]
    for _ in range(15):
        billing.clock.move(days=1)
        await billing.parts.sweeping.remind()
        access.append(_access(billing, tenant))
    billing.account.set_status(subscription, "active")
    await billing.send(subscription_event(subscription, customer, "customer.subscription.updated"))

    assert access == ["full"] * 7 + ["no_new_devices"] * 7 + ["read_only"] * 2
    assert _access(billing, tenant) == "full"
    assert billing.notices(tenant) == [
        "dunning_unpaid",
        "dunning_grace_half",
        "dunning_grace_last_day",
        "dunning_no_new_devices",
        "dunning_read_only",
    ]


def _access(billing: Billing, tenant: object) -> str:
    return str(
        billing.all("SELECT access FROM billing_entitlements WHERE tenant_id = %s", tenant)[0][0]
    )


@pytest.mark.anyio
async def test_a_bill_that_stays_unpaid_under_another_name_is_not_a_new_one(
    billing: Billing,
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    billing.account.set_status(subscription, "past_due")
    await billing.send(subscription_event(subscription, customer))
    billing.clock.move(days=8)

    billing.account.set_status(subscription, "unpaid")
    await billing.send(subscription_event(subscription, customer))

    assert _access(billing, tenant) == "no_new_devices"


@pytest.mark.anyio
async def test_an_override_holds_until_it_ends(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    request = OverrideRequest(
        tenant_id=tenant,
        limit_name="devices",
        amount=77,
        expires_at=billing.clock() + timedelta(hours=1),
        actor_id="olivia",
        reason="a pilot",
    )

    await billing.parts.operators.override(request)
    during = billing.held(tenant)
    billing.clock.move(hours=1, seconds=1)
    await billing.parts.sweeping.run_once()

    assert during == ("starter", "full", 77)
    assert billing.held(tenant) == ("starter", "full", 50)


@pytest.mark.anyio
async def test_a_changed_plan_holds_for_all_who_have_it_and_is_told(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    other, _, _ = await billing.make_subscriber("price_business")
    before = billing.changes(other)
    billing.superuser.execute("UPDATE billing_plans SET devices = 51 WHERE plan_id = 'starter'")

    try:
        await billing.parts.sweeping.run_once()
        changed = billing.held(tenant)
    finally:
        billing.superuser.execute("UPDATE billing_plans SET devices = 50 WHERE plan_id = 'starter'")

    assert changed == ("starter", "full", 51)
    assert billing.changes(tenant) == 2
    assert billing.changes(other) == before


@pytest.mark.anyio
@pytest.mark.parametrize("trouble", [NotFound, Malformed, Unavailable])
async def test_trouble_in_the_background_is_waited_out(trouble: type[AppError]) -> None:
    turns = iter(range(3))
    over = asyncio.Event()

    async def work() -> None:
        if next(turns, None) is None:
            over.set()
        raise trouble("of Stripe's")

    task = asyncio.create_task(repeat("x", 0.001, work))
    try:
        async with asyncio.timeout(5):
            await over.wait()
        assert not task.done()
    finally:
        task.cancel()


@pytest.mark.anyio
async def test_a_new_tenant_gets_the_default_plan(billing: Billing) -> None:
    tenant = billing.make_tenant()

    await billing.parts.sweeping.run_once()

    assert billing.held(tenant) == ("free", "full", 5)
    assert billing.changes(tenant) == 1


@pytest.mark.parametrize(
    ("days", "access"),
    [
        (0, "full"),
        (6.9, "full"),
        (7, "no_new_devices"),
        (13.9, "no_new_devices"),
        (14, "read_only"),
    ],
)
def test_each_step_begins_on_its_day(days: float, access: str) -> None:
    assert Dunning().access(NOW, NOW + timedelta(days=days)) == access


def test_who_pays_is_never_degraded() -> None:
    assert Dunning(grace_days=0, read_only_days=0).access(None, NOW) == "full"


def _held(status: str, plan: str | None, day: int = 0) -> Held:
    created = NOW + timedelta(days=day)
    return Held(
        subscription_id=status,
        status=status,
        plan=plan,
        unpaid_since=None,
        created_at=created,
    )


@pytest.mark.parametrize(
    ("held", "governs"),
    [
        ([], None),
        ([_held("canceled", "big"), _held("incomplete", "big"), _held("paused", "big")], None),
        ([_held("active", None)], None),
        ([_held("active", "small"), _held("canceled", "big")], "active"),
        ([_held("past_due", "big"), _held("active", "small")], "active"),
        ([_held("active", "small", 5), _held("trialing", "big")], "trialing"),
    ],
)
def test_the_subscription_that_counts_is_the_paid_one_of_the_highest_plan(
    held: list[Held], governs: str | None
) -> None:
    plans = {
        name: Plan(plan=name, name=name, rank=rank, hard_limits=False, features=frozenset())
        for rank, name in enumerate(["small", "big"])
    }

    found = domain.governing(held, plans)

    assert (found and found.subscription_id) == governs
