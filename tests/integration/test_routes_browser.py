"""An administrator makes a route in the browser, proves that its endpoint is theirs, tries it, pauses and replays."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx2
import psycopg
import pytest
from playwright.sync_api import expect
from standardwebhooks import Webhook
from tests.integration.chromium import Tab, open_tab
from tests.integration.people import ALICE
from tests.integration.waiting import eventually
from tests.integration.world import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.world import Device, World

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]


@dataclass
class Hook:
    """A customer's endpoint; until it is told to, it does not answer the challenge."""

    port: int = 0
    answers_challenge: bool = False
    received: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def messages(self, kind: str) -> list[tuple[dict[str, str], bytes]]:
        return [got for got in self.received if json.loads(got[1])["type"] == kind]

    def answer(self, headers: dict[str, str], body: bytes) -> bytes:
        self.received.append((headers, body))
        challenge = json.loads(body)["data"].get("challenge")
        return challenge.encode() if challenge and self.answers_challenge else b"<b>thanks</b>"


@contextmanager
def serving(hook: Hook) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            answer = hook.answer({k.lower(): v for k, v in self.headers.items()}, body)
            self.send_response(200)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield hook
    server.shutdown()
    server.server_close()


@pytest.fixture
def hook(world: World) -> Iterator[Hook]:
    """Let delivery_worker call this one address of this machine, as an operator of a private deployment would."""
    part = world.stack.part("delivery_worker")
    with serving(Hook()) as made:
        part.stop()
        settings = {
            **world.stack.environments.of_service("delivery_worker"),
            "DELIVERY_ALLOW_HTTP": "true",
            "DELIVERY_ALLOWED_NETWORKS": "127.0.0.1/32",
            "DELIVERY_ALLOWED_PORTS": str(made.port),
        }
        process = subprocess.Popen([sys.executable, "-m", "delivery_worker"], env=settings)
        try:
            eventually(lambda: _is_ready(settings["HTTP_PORT"]), "delivery_worker is ready", 30)
            yield made
        finally:
            process.terminate()
            process.wait(30)
            part.start()


def _is_ready(port: str) -> bool:
    try:
        return httpx2.get(f"http://127.0.0.1:{port}/readyz").status_code == httpx2.codes.OK
    except httpx2.TransportError:
        return False


def log_in(tab: Tab, world: World) -> None:
    tab.page.goto(f"{world.stack.url}/auth/login")
    tab.page.fill("#username", ALICE)
    tab.page.fill("#password", world.stack.secrets.demo_password)
    tab.page.click("#kc-login")
    tab.page.wait_for_url(f"{world.stack.url}/**")


def make_route(tab: Tab, hook: Hook) -> str:
    """Fill in the form, be refused once, and return the secret that is shown."""
    page = tab.page
    page.get_by_test_id("routes").click()
    tab.shoot("none-yet")
    page.get_by_test_id("new-route").click()
    page.get_by_test_id("route-name").fill("Our <i>SIEM</i>")
    page.get_by_test_id("route-url").fill("http://169.254.169.254/latest")
    page.get_by_test_id("event-audit.recorded").check()
    tab.shoot("form")
    page.get_by_test_id("save-route").click()
    expect(page.get_by_test_id("refused")).to_be_visible()
    tab.shoot("refused")
    page.get_by_test_id("route-url").fill(hook.url)
    page.get_by_test_id("save-route").click()
    secret = page.get_by_test_id("signing-secret").inner_text()
    expect(page.get_by_test_id("ownership")).to_contain_text("has not answered the challenge")
    tab.shoot("made")
    page.reload()
    expect(page.get_by_test_id("signing-secret")).to_have_count(0)
    return secret


def verify(tab: Tab, hook: Hook) -> None:
    page = tab.page
    page.get_by_test_id("verify").click()
    expect(page.get_by_test_id("made")).to_contain_text("not with the challenge")
    tab.shoot("not-owned")
    hook.answers_challenge = True
    page.get_by_test_id("verify").click()
    expect(page.get_by_test_id("made")).to_contain_text("delivers from now on")
    expect(page.get_by_test_id("route-state")).to_have_text("Delivering")
    page.get_by_test_id("test").click()
    expect(page.get_by_test_id("made")).to_contain_text("The test message was accepted")
    tab.shoot("tested")


def replay_one(tab: Tab, world: World, hook: Hook) -> None:
    """Give up on what was delivered already, behind the scenes, and have it delivered anew."""
    with psycopg.connect(world.superuser, autocommit=True) as database:
        database.execute(
            "INSERT INTO delivery_dead_letters (tenant_id, delivery_id, route_id, event_type, died_at, attempts,"
            " reason, message)"
            " SELECT tenant_id, 'msg_0dead', route_id, 'telemetry', now(), 8, 'the endpoint answered 500',"
            " jsonb_build_object('tenant_id', tenant_id, 'route_id', route_id, 'delivery_id', 'msg_0dead',"
            " 'event_type', 'telemetry', 'device_id', NULL, 'body', '{\"type\": \"telemetry\", \"data\": {}}')::text"
            " FROM routes WHERE url = %s",
            [hook.url],
        )
    page = tab.page
    page.reload()
    expect(page.get_by_test_id("dead-row")).to_have_count(1)
    tab.shoot("dead")
    page.get_by_test_id("replay-one").click()
    expect(page.get_by_test_id("replayed")).to_contain_text("1 of the dead letters")
    eventually(
        lambda: any(h["webhook-id"] == "msg_0dead" for h, _ in hook.received), "the replay", 20
    )


def pause_and_look(tab: Tab) -> None:
    page = tab.page
    page.get_by_test_id("pause").click()
    expect(page.get_by_test_id("route-state")).to_have_text("Paused")
    page.get_by_test_id("resume").click()
    expect(page.get_by_test_id("route-state")).to_have_text("Delivering")
    page.get_by_test_id("filter-outcome").select_option("failed")
    page.get_by_test_id("filter").click()
    # The first answer to the challenge came, and was none; nothing else went wrong.
    expect(page.get_by_test_id("attempt-row")).to_have_count(0)
    page.goto(page.url.partition("?")[0])


def change(tab: Tab, world: World) -> None:
    page = tab.page
    page.get_by_test_id("edit").click()
    page.get_by_test_id("ordered").check()
    tab.shoot("change")
    page.get_by_test_id("save-route").click()
    page.goto(f"{world.stack.url}/routes")
    expect(page.get_by_test_id("route-row").filter(has_text="Our <i>SIEM</i>")).to_be_visible()
    tab.shoot("list")


def test_route_from_the_first_form_to_a_replay(
    world: World, device_a: Device, hook: Hook, artifacts: Path
) -> None:
    with open_tab(world.stack.tls.certificate, artifacts / "routes") as tab:
        page = tab.page
        log_in(tab, world)
        secret = make_route(tab, hook)
        verify(tab, hook)
        with device_a.online() as peer:
            peer.publish_and_wait(device_a.telemetry, reading(heat=21.5))
        eventually(lambda: bool(hook.messages("telemetry")), "the reading", 20)
        eventually(lambda: bool(hook.messages("audit.recorded")), "rows of the audit log", 20)
        headers, body = hook.messages("telemetry")[0]
        assert Webhook(secret).verify(body, headers)["data"]["metrics"] == {"heat": 21.5}

        pause_and_look(tab)
        replay_one(tab, world, hook)
        page.get_by_test_id("secret").click()
        expect(page.get_by_test_id("signing-secret")).not_to_have_text(secret)
        change(tab, world)
        page.get_by_role("link", name="Our <i>SIEM</i>").click()
        page.get_by_test_id("ending").click()
        page.get_by_test_id("delete").click()
        gone = page.get_by_test_id("route-row").filter(has_text="Our <i>SIEM</i>")
        expect(gone).to_have_count(0)

    assert [one for one in tab.complaints if "400" not in one] == []
