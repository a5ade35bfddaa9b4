"""Whatever drifted apart between Stripe, the database and the limits is found, repaired and reported."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from services.billing_webhooks.tests.rig import (
    CURRENT,
    KEY,
    PRICES,
    open_billing,
    subscription_event,
)

from pulse_common import events
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg
    from services.billing_webhooks.tests.rig import Account, Billing
    from tests.parts import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]
NO_EVENTS = {"/v1/events": {"object": "list", "data": [], "has_more": False}}


async def reconcile(billing: Billing, tenant: UUID) -> list[str]:
    """Run once and return the kinds of what was found of ``tenant``."""
    report = await billing.parts.reconciler.run_once()
    assert report is not None
    return [finding.kind for finding in report.findings if finding.tenant_id == tenant]


async def test_a_missed_event_is_fetched_and_handled(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    billing.account.subscribe(customer)

    report = await billing.parts.reconciler.run_once()

    assert report is not None
    assert report.backfilled >= 1
    assert billing.held(tenant) == ("starter", "full", 50)
    sources = billing.all(
        "SELECT DISTINCT source FROM stripe_events WHERE home_tenant_id = %s", tenant
    )
    assert sources == [("backfill",)]


async def test_a_subscription_that_ended_unheard_gives_nothing_any_more(billing: Billing) -> None:
    tenant, _, subscription = await billing.make_subscriber("price_business")
    await reconcile(billing, tenant)
    billing.account.set_status(subscription, "canceled")

    found = await reconcile(billing, tenant)

    assert "subscription_drift" in found
    assert billing.held(tenant) == ("free", "full", 5)


async def test_a_subscription_that_stripe_forgot_gives_nothing_any_more(billing: Billing) -> None:
    tenant, _, subscription = await billing.make_subscriber("price_business")
    await reconcile(billing, tenant)
    billing.account.forget(f"subscription:{subscription}")

    found = await reconcile(billing, tenant)

    assert "subscription_gone" in found
    assert billing.held(tenant) == ("free", "full", 5)


async def test_limits_changed_by_hand_are_put_right(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    await reconcile(billing, tenant)
    billing.superuser.execute(
        "UPDATE billing_entitlements SET devices = 999999 WHERE tenant_id = %s", [tenant]
    )

    found = await reconcile(billing, tenant)

    assert found == ["limits_drift"]
    assert billing.held(tenant) == ("starter", "full", 50)


async def test_when_all_agrees_nothing_is_found_and_nothing_is_told(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    await reconcile(billing, tenant)
    before = billing.changes(tenant)

    assert await reconcile(billing, tenant) == []
    assert billing.changes(tenant) == before


async def test_a_subscription_whose_events_are_lost_is_found_by_listing(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer, "price_business")
    billing.account.set(objects=NO_EVENTS)

    found = await reconcile(billing, tenant)

    assert found == ["subscription_missed", *found[1:]]
    assert billing.held(tenant) == ("business", "full", 1000)
    assert subscription


async def test_a_subscription_of_nobody_is_reported_and_an_ended_one_is_not(
    billing: Billing,
) -> None:
    theirs, over = (billing.account.subscribe(billing.account.make_customer()) for _ in range(2))
    billing.account.set_status(over, "canceled")
    billing.account.set(objects=NO_EVENTS)

    report = await billing.parts.reconciler.run_once()

    assert report is not None
    unknown = {one.object_id for one in report.findings if one.kind == "customer_unknown"}
    assert theirs in unknown
    assert over not in unknown


async def test_limits_are_put_right_though_stripe_is_away(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    billing.superuser.execute(
        "UPDATE billing_entitlements SET devices = 999999 WHERE tenant_id = %s", [tenant]
    )
    billing.account.set(fail=500)

    with pytest.raises(Unavailable):
        await billing.parts.reconciler.run_once()

    assert billing.held(tenant) == ("starter", "full", 50)


@pytest.mark.parametrize("key", [KEY, ""])
async def test_an_override_that_ended_while_nobody_looked_is_found(
    postgres: Postgres, account: Account, superuser: psycopg.Connection, key: str
) -> None:
    async with open_billing(postgres, account, superuser, STRIPE_API_KEY=key) as billing:
        tenant = billing.make_tenant()
        await billing.parts.sweeping.run_once()
        without = billing.held(tenant)
        request = events.OverrideRequest(
            tenant_id=tenant,
            limit_name="devices",
            amount=77,
            expires_at=billing.clock() + timedelta(hours=1),
            actor_id="olivia",
            reason="a pilot",
        )
        await billing.parts.operators.override(request)
        during = billing.held(tenant)
        billing.clock.move(days=3)

        report = await billing.parts.reconciler.run_once()

        assert report is not None
        assert during is not None
        assert during[2] == 77
        assert billing.held(tenant) == without


async def test_where_nothing_is_billed_stripe_is_never_asked_and_events_are_not_called_complete(
    postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> None:
    superuser.execute("DELETE FROM billing_reconciliations")
    async with open_billing(postgres, account, superuser, STRIPE_API_KEY="") as billing:
        account.set(asked=[])

        assert await billing.parts.reconciler.run_once() is not None

        assert account.state()["asked"] == []
        through = billing.all("SELECT max(events_through) FROM billing_reconciliations")
        assert through[0][0].year == 2000


async def test_usage_that_stripe_never_took_is_reported(billing: Billing) -> None:
    tenant, _, _ = await billing.make_subscriber()
    await reconcile(billing, tenant)
    billing.superuser.execute(
        "INSERT INTO billing_meter_events (tenant_id, identifier, metric, day, amount, created_at)"
        " VALUES (%s, %s, 'messages', current_date - 2, 3, now() - interval '25 hours')",
        [tenant, f"{tenant}:messages:x:0"],
    )

    assert await reconcile(billing, tenant) == ["usage_not_metered"]


async def test_an_event_that_cannot_be_read_does_not_stand_in_the_way_of_the_others(
    billing: Billing,
) -> None:
    tenant, customer = await billing.make_customer()
    subscription = billing.account.subscribe(customer)
    good = json.loads(subscription_event(subscription, customer))
    listed = {"object": "list", "has_more": False, "data": [{**good, "id": "no id"}, good]}
    billing.account.set(objects={"/v1/events": listed})

    report = await billing.parts.reconciler.run_once()

    assert report is not None
    assert good["id"] in {one.object_id for one in report.findings}
    assert billing.held(tenant) == ("starter", "full", 50)


async def test_two_runs_at_once_are_one(billing: Billing) -> None:
    reconciler = billing.parts.reconciler
    billing.account.set(delay=0.3)

    reports = await asyncio.gather(reconciler.run_once(), reconciler.run_once())

    assert sum(report is None for report in reports) == 1


def command(postgres: Postgres, account: Account, **more: str) -> subprocess.CompletedProcess[str]:
    settings = {
        "PATH": os.defpath,
        "PULSE_ENV": "development",
        "HTTP_PORT": "8080",
        "DATABASE_URL": postgres.url("svc_billing_webhooks"),
        "NATS_URL": "nats://127.0.0.1:1",
        "NATS_USER": "x",
        "NATS_PASSWORD": "x" * 16,
        "STRIPE_API_KEY": KEY,
        "STRIPE_API_BASE": account.url,
        "STRIPE_WEBHOOK_SECRETS": CURRENT,
        "STRIPE_PRICES": ",".join(f"{price}={plan}" for price, plan in PRICES.items()),
    }
    return subprocess.run(
        [sys.executable, "-m", "billing_webhooks.reconcile"],
        env={**settings, **more},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


async def test_the_command_repairs_and_says_what_it_found_and_nothing_else(
    billing: Billing, postgres: Postgres
) -> None:
    tenant, customer, subscription = await billing.make_subscriber()
    await reconcile(billing, tenant)
    billing.account.set_status(subscription, "canceled")

    done = command(postgres, billing.account)

    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["findings"]
    assert {
        "kind": "subscription_drift",
        "tenant_id": str(tenant),
        "object_id": subscription,
    } in found
    assert billing.held(tenant) == ("free", "full", 5)
    assert customer not in done.stdout


@pytest.mark.parametrize(
    ("more", "code", "said"),
    [
        ({"STRIPE_API_BASE": "http://127.0.0.1:1"}, 75, "not reconciled"),
        ({"STRIPE_PRICES": "price_x=nothing"}, 78, "there is no plan nothing"),
    ],
)
async def test_the_command_says_why_it_did_nothing(
    billing: Billing, postgres: Postgres, more: dict[str, str], code: int, said: str
) -> None:
    done = command(postgres, billing.account, **more)

    assert (done.returncode, said in done.stderr, done.stdout) == (code, True, "")
