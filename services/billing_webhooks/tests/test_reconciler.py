"""Whatever drifted apart between Stripe, the database and the limits is found, repaired and reported."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from uuid import UUID

    from services.billing_webhooks.tests.rig import Billing

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
