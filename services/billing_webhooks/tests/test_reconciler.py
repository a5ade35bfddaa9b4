"""Whatever drifted apart between Stripe, the database and the limits is found, repaired and reported."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from services.billing_webhooks.tests.rig import CURRENT, KEY, PRICES

if TYPE_CHECKING:
    from uuid import UUID

    from services.billing_webhooks.tests.rig import Account, Billing
    from tests.parts import Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(120)]


async def reconcile(billing: Billing, tenant: UUID) -> list[str]:
    """Run once and return the kinds of what was found of ``tenant``."""
    assert billing.parts.reconciler is not None
    report = await billing.parts.reconciler.run_once()
    assert report is not None
    return [finding.kind for finding in report.findings if finding.tenant_id == tenant]


async def test_a_missed_event_is_fetched_and_handled(billing: Billing) -> None:
    tenant, customer = await billing.make_customer()
    billing.account.subscribe(customer)

    assert billing.parts.reconciler is not None
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


async def test_two_runs_at_once_are_one(billing: Billing) -> None:
    reconciler = billing.parts.reconciler
    assert reconciler is not None
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
        ({"STRIPE_API_KEY": ""}, 75, "billing is off"),
        ({"STRIPE_API_BASE": "http://127.0.0.1:1"}, 75, "not reconciled"),
        ({"STRIPE_PRICES": "price_x=nothing"}, 78, "there is no plan nothing"),
    ],
)
async def test_the_command_says_why_it_did_nothing(
    billing: Billing, postgres: Postgres, more: dict[str, str], code: int, said: str
) -> None:
    done = command(postgres, billing.account, **more)

    assert (done.returncode, said in done.stderr, done.stdout) == (code, True, "")
