"""In a browser: a tenant buys a plan and manages it at Stripe; an operator sees why, and has one event handled anew.

Stripe's own pages are not here: what the browser is led to is answered by a stand-in at Stripe's address.
"""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.integration.chromium import Tab, open_tab
from tests.integration.people import MALLORY
from tests.integration.waiting import eventually

from pulse_local.seed import GLOBEX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.billed import Billed

pytestmark = [pytest.mark.integration, pytest.mark.timeout(90)]


class StandIn(BaseHTTPRequestHandler):
    """Says which of Stripe's hosts it was asked as."""

    def do_GET(self) -> None:
        name = self.headers["host"].partition(".")[0].capitalize()
        page = f"<!doctype html><title>{name}</title><link rel=icon href=data:,><h1>{name}</h1>"
        body = f"{page}<p>Here Stripe's own page would be.</p>".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html; charset=utf-8")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def stripes_pages(certificate: Path, key: Path) -> Iterator[int]:
    """Serve on loopback, by a key that the browser trusts whatever the name."""
    with ThreadingHTTPServer(("127.0.0.1", 0), StandIn) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


@pytest.fixture
def tab(billed: Billed, artifacts: Path, request: pytest.FixtureRequest) -> Iterator[Tab]:
    tls = billed.world.stack.tls
    folder = artifacts / f"billing-{request.node.name.split('_')[1]}"
    with stripes_pages(tls.certificate, tls.key) as port:
        to = f"127.0.0.1:{port}"
        rules = f"MAP checkout.stripe.com {to}, MAP billing.stripe.com {to}"
        with open_tab(tls.certificate, folder, f"--host-resolver-rules={rules}") as opened:
            yield opened


def log_in(tab: Tab, billed: Billed, email: str) -> None:
    tab.page.goto(f"{billed.world.stack.url}/auth/login")
    tab.page.fill("#username", email)
    tab.page.fill("#password", billed.world.stack.secrets.demo_password)
    tab.page.click("#kc-login")


def customer_of(billed: Billed, tenant: str) -> str:
    query = "SELECT customer_id FROM billing_customers WHERE tenant_id = %s"
    return str(billed.all(query, tenant)[0][0])


def plan_is(billed: Billed, tenant: str, plan: str) -> bool:
    query = "SELECT 1 FROM billing_entitlements WHERE tenant_id = %s AND plan_id = %s"
    return bool(billed.all(query, tenant, plan))


def test_administrator_buys_a_plan_sees_usage_and_invoices_and_manages_it_at_stripe(
    billed: Billed, tab: Tab
) -> None:
    page, url = tab.page, billed.world.stack.url
    billed.await_access(GLOBEX, "full")
    billed.world.new_device(GLOBEX, "Toaster")
    log_in(tab, billed, MALLORY)
    page.get_by_test_id("billing").click()
    expect(page.get_by_test_id("plan")).to_have_text("Free")
    tab.shoot("free")

    page.get_by_test_id("checkout-starter").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Checkout")
    tab.shoot("checkout")
    session = list(billed.account.state()["sessions"].values())[-1]
    customer = customer_of(billed, GLOBEX)
    subscription = billed.buy(customer, "price_starter")
    page.goto(session["success_url"])

    expect(page.get_by_test_id("checkout-done")).to_be_visible()
    expect(page.get_by_test_id("plan")).to_have_text("Starter")
    expect(page.locator("tr[data-limit=devices]")).to_contain_text("50")
    expect(page.get_by_test_id("invoices")).to_contain_text("paid")
    expect(page.get_by_test_id("applied")).to_contain_text("customer.subscription.created")
    expect(page.get_by_test_id("checkout-starter")).to_have_count(0)
    tab.shoot("starter")
    page.get_by_test_id("portal").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Billing")
    assert page.url.startswith("https://billing.stripe.com/")

    billed.set_status(subscription, customer, "past_due")
    see_what_an_unpaid_bill_means(billed, tab, subscription)
    assert (session["customer"], session["success_url"]) == (
        customer,
        f"{url}/billing?checkout=done",
    )
    assert tab.complaints == []


def see_what_an_unpaid_bill_means(billed: Billed, tab: Tab, subscription: str) -> None:
    """Look at the page on the first day, let the bill be unpaid for long, and try to add a device."""
    page, url = tab.page, billed.world.stack.url
    page.goto(f"{url}/billing")
    expect(page.get_by_test_id("unpaid")).to_contain_text("Everything works for now")
    tab.shoot("unpaid")
    billed.all(
        "UPDATE billing_subscriptions SET unpaid_since = now() - interval '15 days' WHERE subscription_id = %s",
        subscription,
    )
    billed.await_access(GLOBEX, "read_only")
    page.goto(f"{url}/devices/new")
    page.get_by_label("Name").fill("Kettle")
    page.get_by_role("button", name="Create device").click()
    expect(page.get_by_role("main")).to_contain_text("an invoice is unpaid")
    tab.shoot("read-only")
    assert all("402" in each for each in tab.complaints)  # the browser's own words about the answer
    tab.complaints.clear()
    page.get_by_role("link", name="See plan and invoices").click()
    expect(page.get_by_test_id("unpaid")).to_contain_text("Nothing can be changed until it is paid")


def event_of(billed: Billed, subscription: str) -> str:
    """Return the event that localstripe made of a purchase, which the reconciler has fetched."""
    query = (
        "SELECT event_id FROM stripe_events WHERE object_id = %s AND source = 'backfill'"
        " AND event_type = 'customer.subscription.created'"
    )
    return str(billed.all(query, subscription)[0][0])


def test_operator_sees_each_limits_event_and_has_one_handled_again(
    billed: Billed, tab: Tab
) -> None:
    page, url = tab.page, billed.world.stack.url
    customer = billed.account.make_customer(None, **{"metadata[tenant_id]": GLOBEX})
    known = billed.all("SELECT customer_id FROM billing_customers WHERE tenant_id = %s", GLOBEX)
    subscription = billed.buy(str(known[0][0]) if known else customer, "price_business")
    eventually(lambda: plan_is(billed, GLOBEX, "business"), "the plan")
    found = billed.reconcile()
    event = event_of(billed, subscription)
    log_in(tab, billed, "otto@pulse.example")
    page.get_by_label("Reason, with the ticket when there is one").fill("OPS-8 a wrong limit")
    page.get_by_test_id("give-reason").click()
    page.get_by_role("link", name="Globex").click()
    page.get_by_test_id("billing").click()

    row = page.get_by_test_id("subscription-row").filter(has_text=subscription)
    expect(row).to_have_attribute("data-status", "active")
    expect(page.get_by_test_id("limits-row").first).to_contain_text("customer.subscription.created")
    tab.shoot("history")
    # Stripe knows better by now, and its event got lost.
    billed.account.set_status(subscription, "canceled")
    page.locator(f"[data-event={event}]").get_by_test_id("replay").click()

    expect(page.get_by_test_id("replayed")).to_contain_text("was handled again")
    expect(row).to_have_attribute("data-status", "canceled")
    tab.shoot("replayed")
    assert {"kind": "event_missed", "tenant_id": None, "object_id": event} in found["findings"]
    assert not plan_is(billed, GLOBEX, "business")
    assert page.url.startswith(f"{url}/operator/tenants/{GLOBEX}/billing")
    assert tab.complaints == []
