"""Use is counted once, metered once and told once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest

from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from services.billing_webhooks.tests.rig import Billing
    from tests.parts import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


def give(billing: Billing, tenant: UUID, messages: int, *, days_ago: int = 0) -> None:
    """Store readings of one device, as ingest would."""
    device = uuid4()
    billing.superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'd')", [tenant, device]
    )
    billing.superuser.execute(
        "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
        " SELECT %s, %s, %s::timestamptz, gen_random_uuid(), '{}', now() FROM generate_series(1, %s)",
        [tenant, device, billing.clock() - timedelta(days=days_ago), messages],
    )
    billing.superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
        " VALUES (%s, %s, now(), %s, '{}')",
        [tenant, device, billing.clock() - timedelta(days=days_ago)],
    )
    billing.superuser.execute(
        "INSERT INTO billing_usage AS u (tenant_id, metric, day, amount)"
        " VALUES (%s, 'messages', (%s::timestamptz AT TIME ZONE 'UTC')::date, %s)"
        " ON CONFLICT (tenant_id, metric, day) DO UPDATE SET amount = u.amount + excluded.amount",
        [tenant, billing.clock() - timedelta(days=days_ago), messages],
    )


def metered(billing: Billing, customer: str, metric: str) -> list[str]:
    found = billing.account.state()["meters"].values()
    return [
        event["payload"]["value"]
        for event in found
        if event["payload"]["stripe_customer_id"] == customer and event["event_name"] == metric
    ]


async def test_a_day_is_metered_when_it_is_over_and_only_once(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    give(billing, tenant, 3, days_ago=1)
    give(billing, tenant, 2)

    for _ in range(3):
        await billing.parts.metering.run_once()

    assert metered(billing, customer, "pulse_messages") == ["3"]


async def test_late_readings_are_metered_beside_what_was(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    give(billing, tenant, 3, days_ago=1)
    await billing.parts.metering.run_once()
    give(billing, tenant, 4, days_ago=1)

    await billing.parts.metering.run_once()

    assert sorted(metered(billing, customer, "pulse_messages")) == ["3", "4"]


async def test_a_meter_event_that_stripe_did_not_take_is_sent_again_as_the_same(
    billing: Billing,
) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    give(billing, tenant, 3, days_ago=1)
    billing.account.set(fail=500)
    with pytest.raises(Unavailable):
        await billing.parts.metering.run_once()
    give(billing, tenant, 4, days_ago=1)
    billing.account.set(fail=0)

    await billing.parts.metering.run_once()

    assert sorted(metered(billing, customer, "pulse_messages")) == ["3", "4"]


async def test_what_stripe_refuses_of_one_customer_keeps_nobody_elses_back(
    billing: Billing,
) -> None:
    refused, theirs, _ = await billing.make_subscriber()
    tenant, customer, _ = await billing.make_subscriber()
    give(billing, refused, 5, days_ago=1)
    give(billing, tenant, 3, days_ago=1)
    billing.account.set(unmetered=[theirs])

    for _ in range(2):
        await billing.parts.metering.run_once()
    others = metered(billing, customer, "pulse_messages")
    billing.account.set(unmetered=[])
    billing.clock.move(hours=1, seconds=1)
    await billing.parts.metering.run_once()

    assert others == ["3"]
    assert metered(billing, theirs, "pulse_messages") == ["5"]


async def test_a_meter_that_stripe_does_not_have_ends_nothing(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    give(billing, tenant, 3, days_ago=1)
    billing.account.set(fail=404)

    await billing.parts.metering.run_once()
    billing.account.set(fail=0)
    billing.clock.move(hours=2)
    await billing.parts.metering.run_once()

    assert metered(billing, customer, "pulse_messages") == ["3"]


async def test_an_event_that_is_sent_again_later_has_the_same_values(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    # The month's first day is not over: its end is no time that Stripe would take.
    billing.clock.now = billing.clock.now.replace(day=1, hour=12)
    give(billing, tenant, 2)
    await billing.parts.metering.run_once()
    # As a crash between Stripe's answer and the commit leaves it.
    billing.superuser.execute(
        "UPDATE billing_meter_events SET sent_at = NULL WHERE tenant_id = %s", [tenant]
    )
    billing.clock.move(minutes=10)

    await billing.parts.metering.run_once()

    unsent = "SELECT count(*) FROM billing_meter_events WHERE tenant_id = %s AND sent_at IS NULL"
    assert billing.all(unsent, tenant) == [(0,)]
    assert metered(billing, customer, "pulse_device_months") == ["1"]


async def test_devices_that_sent_are_counted_once_a_month(billing: Billing) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    give(billing, tenant, 5)
    give(billing, tenant, 5)

    for _ in range(2):
        await billing.parts.metering.run_once()

    assert metered(billing, customer, "pulse_device_months") == ["2"]


async def test_a_device_whose_readings_of_last_month_come_late_counts_for_it(
    billing: Billing,
) -> None:
    tenant, customer, _ = await billing.make_subscriber()
    billing.clock.now = billing.clock.now.replace(day=1, hour=12)
    give(billing, tenant, 1, days_ago=1)
    # Its newest reading is of this month already.
    billing.superuser.execute(
        "UPDATE device_last_state SET ts = %s WHERE tenant_id = %s", [billing.clock(), tenant]
    )

    await billing.parts.metering.run_once()

    assert metered(billing, customer, "pulse_device_months") == ["1", "1"]


async def test_what_was_counted_stays_counted_though_the_next_count_fails(
    billing: Billing, postgres: Postgres
) -> None:
    tenant, _, _ = await billing.make_subscriber()
    billing.clock.now = billing.clock.now.replace(day=1, hour=12)
    give(billing, tenant, 3)
    counted = "SELECT amount FROM billing_usage WHERE tenant_id = %s AND metric = 'device_months'"

    with psycopg.connect(postgres.superuser) as other:
        other.execute("LOCK TABLE telemetry")
        task = asyncio.create_task(billing.parts.metering.run_once())
        async with asyncio.timeout(10):
            while not billing.all(counted, tenant):  # noqa: ASYNC110 -- another process
                await asyncio.sleep(0.02)
        task.cancel()

    assert billing.all(counted, tenant) == [(1,)]


@pytest.mark.parametrize("held", [10, 20])
async def test_each_threshold_of_devices_is_told_once_for_each_limit(
    billing: Billing, held: int
) -> None:
    tenant, _, _ = await billing.make_subscriber()
    billing.superuser.execute(
        "UPDATE billing_entitlements SET devices = %s WHERE tenant_id = %s", [held, tenant]
    )
    billing.superuser.execute(
        "INSERT INTO billing_overrides (tenant_id, override_id, limit_name, amount, reason, created_by)"
        " VALUES (%s, gen_random_uuid(), 'devices', %s, 'test', 'test')",
        [tenant, held],
    )
    told = []
    for more in (5, 3, 2):
        for _ in range(more * held // 10):
            give(billing, tenant, 0)
        for _ in range(2):
            await billing.parts.metering.run_once()
        told.append([kind for kind in billing.notices(tenant) if "devices" in kind])

    names = [f"usage_devices_{percent}" for percent in (50, 80, 100)]
    assert told == [names[:1], names[:2], names]


async def test_each_threshold_is_told_once(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    limit(billing, tenant, "messages_per_month = 10")
    told = []
    for messages in (4, 1, 3, 1, 1, 5):
        give(billing, tenant, messages)
        limit(billing, tenant, "messages_per_month = 10")
        await billing.parts.metering.run_once()
        told.append([kind for kind in billing.notices(tenant) if "messages" in kind])

    names = [f"usage_messages_{percent}" for percent in (50, 80, 100)]
    assert told == [[], names[:1], names[:2], names[:2], names, names]


def limit(billing: Billing, tenant: UUID, what: str) -> None:
    name, _, amount = what.partition(" = ")
    billing.superuser.execute("DELETE FROM billing_overrides WHERE tenant_id = %s", [tenant])
    billing.superuser.execute(
        "INSERT INTO billing_overrides (tenant_id, override_id, limit_name, amount, reason, created_by)"
        " VALUES (%s, gen_random_uuid(), %s, %s, 'test', 'test')",
        [tenant, name, int(amount)],
    )
    billing.superuser.execute(
        "UPDATE billing_entitlements SET messages_per_month = %s WHERE tenant_id = %s",
        [int(amount), tenant],
    )


@pytest.mark.parametrize(("plan", "allowed"), [("starter", 0), ("business", 1000)])
async def test_a_hard_limit_stops_messages_until_the_month_ends_and_a_soft_one_does_not(
    billing: Billing, plan: str, allowed: int
) -> None:
    tenant, _, _ = await billing.make_subscriber(f"price_{plan}")
    limit(billing, tenant, "messages_per_month = 10")
    give(billing, tenant, 10)

    await billing.parts.metering.run_once()
    used_up = rate(billing, tenant)
    billing.clock.move(days=32)
    await billing.parts.sweeping.run_once()

    assert used_up == allowed
    assert rate(billing, tenant) in {50, 1000}


def rate(billing: Billing, tenant: UUID) -> int:
    query = "SELECT messages_per_second FROM billing_entitlements WHERE tenant_id = %s"
    return int(billing.all(query, tenant)[0][0])
