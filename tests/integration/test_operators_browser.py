"""An operator asks in the console, the tenant's administrator approves on their page and sees every look."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from playwright.sync_api import expect
from tests.integration.chromium import Tab, open_tab
from tests.integration.people import MALLORY
from tests.integration.world import reading

if TYPE_CHECKING:
    from pathlib import Path

    from tests.integration.world import Device, World

pytestmark = pytest.mark.integration
REASON = "OPS-21 no readings"


def log_in(tab: Tab, world: World, email: str) -> None:
    tab.page.goto(f"{world.stack.url}/auth/login")
    tab.page.fill("#username", email)
    tab.page.fill("#password", world.stack.secrets.demo_password)
    tab.page.click("#kc-login")


def log_out(tab: Tab, world: World) -> None:
    tab.page.get_by_test_id("logout").click()
    tab.page.wait_for_url(f"{world.stack.url}/**")
    tab.page.context.clear_cookies()


def log_in_with_reason(tab: Tab, world: World) -> None:
    log_in(tab, world, "otto@pulse.example")
    tab.page.get_by_label("Reason, with the ticket when there is one").fill(REASON)
    tab.shoot("reason")
    tab.page.get_by_test_id("give-reason").click()


def approve_as_tenant(tab: Tab, world: World) -> None:
    page = tab.page
    log_in(tab, world, MALLORY)
    page.get_by_test_id("access").click()
    tab.shoot("access-request")
    page.get_by_test_id("approve").first.click()
    expect(page.get_by_test_id("revoke").first).to_be_visible()
    expect(page.get_by_test_id("look-row").first).to_contain_text(REASON)
    tab.shoot("access-approved")
    page.goto(f"{world.stack.url}/archive")
    expect(page.get_by_test_id("download")).to_be_visible()
    tab.shoot("archive")
    log_out(tab, world)


def add_failing_route(world: World, tenant: str) -> None:
    with psycopg.connect(world.superuser, autocommit=True) as database:
        database.execute(
            "INSERT INTO routes (tenant_id, route_id, name, url, event_types, status, failing_since, secret_sealed)"
            " VALUES (%s, %s, 'Hook', 'https://hooks.example/x', '{telemetry}', 'paused', now(), 'sealed')",
            [tenant, route := str(uuid4())],
        )
        database.execute(
            "INSERT INTO delivery_attempts (tenant_id, attempt_id, route_id, delivery_id, event_type, attempt,"
            " attempted_at, stage, delivered, status, latency_ms, response_body)"
            " SELECT %s, gen_random_uuid(), %s, 'd', 'telemetry', n, now(), 'after', n = 1,"
            "        CASE n WHEN 1 THEN 200 ELSE 503 END, 7, '' FROM generate_series(1, 4) n",
            [tenant, route],
        )


def test_operator_asks_tenant_approves_and_sees_every_look(
    world: World, device_b: Device, artifacts: Path
) -> None:
    with device_b.online() as peer:
        peer.publish_and_wait(device_b.telemetry, reading(heat=21.5))
    add_failing_route(world, device_b.tenant_id)
    with open_tab(world.stack.tls.certificate, artifacts / "operators") as tab:
        page, url = tab.page, world.stack.url
        log_in_with_reason(tab, world)
        expect(page.get_by_test_id("tenant-row").first).to_be_visible()
        tab.shoot("tenants")
        page.get_by_role("link", name="Globex").click()
        page.get_by_label("Ticket").fill("OPS-21")
        page.get_by_test_id("ask").click()
        expect(page.get_by_test_id("grant-row").first).to_contain_text("Waiting")
        tab.shoot("tenant")
        for path in ("devices?text=Toaster", "requests", "deliveries", "jobs", "health", "audit"):
            page.goto(f"{url}/operator/{path}")
            tab.shoot(path.partition("?")[0])
        log_out(tab, world)

        approve_as_tenant(tab, world)

        log_in_with_reason(tab, world)
        page.goto(f"{url}/operator/tenants/{device_b.tenant_id}/telemetry")
        expect(page.get_by_test_id("state-row").first).to_contain_text("heat = 21.5")
        tab.shoot("readings")

        assert tab.complaints == []
