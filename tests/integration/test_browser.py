"""What only a real browser shows: where a log-in leads, what planted markup does, and how a live view comes back."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import expect
from tests.integration.chromium import Tab, open_tab
from tests.integration.people import ALICE
from tests.integration.waiting import eventually

from pulse_local.seed import ACME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Page, WebSocketRoute
    from tests.integration.world import Device, World

    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration

TRY_AGAIN = 1013
#: The longest pauses before the second, third and fourth try.
BOUNDS_SECONDS = (0.5, 1.0, 2.0)
#: Each of them leads, or has led somewhere, to another site.
ELSEWHERE = (
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "https://evil.example/devices",
    "https:evil.example",
    "//evil.example%2f..",
    "/\t/evil.example",
    "/%0a/evil.example\n",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "@evil.example",
    "/auth/login?next=//evil.example",
    "/devices\r\nlocation: https://evil.example",
)
PLANTED = '<script>window.stolen = 1</script><img src="x" onerror="window.stolen = 2">'


@pytest.fixture
def tab(stack: Stack, artifacts: Path) -> Iterator[Tab]:
    with open_tab(stack.tls.certificate, artifacts / "browser") as opened:
        yield opened


def log_in(stack: Stack, page: Page) -> None:
    """Fill the form of the identity provider, which the browser has been led to."""
    expect(page.locator("#kc-form-login")).to_be_visible()
    page.fill("#username", ALICE)
    page.fill("#password", stack.secrets.demo_password)
    page.click("#kc-login")


def test_deep_link_survives_the_log_in(stack: Stack, tab: Tab, device_a: Device) -> None:
    wanted = f"{stack.url}/devices/{device_a.device_id}?from=a%20mail&x=%2F%2Fevil.example"

    tab.page.goto(wanted)
    log_in(stack, tab.page)

    tab.page.wait_for_url(wanted)
    expect(tab.page.get_by_role("heading", level=1)).to_have_text(device_a.name)
    assert tab.complaints == []


def test_no_link_to_the_log_in_leads_to_another_site(stack: Stack, tab: Tab) -> None:
    asked: set[str] = set()
    tab.page.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
    tab.page.goto(f"{stack.url}/devices")
    log_in(stack, tab.page)
    tab.page.wait_for_url("**/devices")

    for wanted in ELSEWHERE:
        tab.page.goto(f"{stack.url}/auth/login?next={quote(wanted, safe='')}")
        tab.page.wait_for_url(f"{stack.url}/devices")

    assert asked == {urlsplit(stack.url).netloc}
    assert tab.complaints == []


def test_markup_that_a_device_sends_or_is_named_after_stays_text(
    stack: Stack, tab: Tab, world: World
) -> None:
    page = tab.page
    device = world.enrol(ACME, f"Oven {PLANTED}")
    page.goto(f"{stack.url}/devices/{device.device_id}")
    log_in(stack, page)
    expect(page.get_by_role("heading", level=1)).to_have_text(device.name)

    with device.online() as peer:
        eventually(
            lambda: (
                peer.publish(
                    device.telemetry, json.dumps({"metrics": {"state": PLANTED, "load": 1}})
                )
                and page.get_by_test_id("device-status").inner_text() == "Live"
            ),
            "the page to hear the device",
        )
    page.reload()
    page.goto(f"{stack.url}/devices")
    expect(page.get_by_test_id("device-row").filter(has_text="Oven")).to_contain_text(PLANTED)

    assert page.evaluate("window.stolen") is None
    assert tab.complaints == []


@dataclass
class Line:
    """Stands between the page and the server; cut until told otherwise."""

    cut: bool = True
    tried_at: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    passed: int = 0

    def on_socket(self, socket: WebSocketRoute) -> None:
        self.tried_at.append(time.monotonic())
        if self.cut:
            socket.on_message(lambda message: self._refuse(socket, message))
            return
        server = socket.connect_to_server()

        def pass_on(message: str | bytes) -> None:
            self.passed += 1
            self.said.append(str(message))
            server.send(message)

        socket.on_message(pass_on)

    def _refuse(self, socket: WebSocketRoute, message: str | bytes) -> None:
        self.said.append(str(message))
        socket.close(code=TRY_AGAIN, reason="a part is away")

    def pauses(self) -> list[float]:
        return [
            after - before for before, after in zip(self.tried_at, self.tried_at[1:], strict=False)
        ]


def while_waiting(page: Page, met: Callable[[], bool]) -> None:
    """Wait as the page does: what stands on its line is called while the page is given time."""
    deadline = time.monotonic() + 30
    while not met():
        assert time.monotonic() < deadline
        page.wait_for_timeout(100)


@pytest.mark.parametrize("luck", [0, 1])
def test_lost_live_view_comes_back_by_itself_later_each_time_and_subscribes_anew(
    stack: Stack, tab: Tab, world: World, luck: int
) -> None:
    page, line = tab.page, Line()
    device = world.enrol(ACME, f"Lost and found {luck}")
    # Full jitter: whatever chance says, the pause is that share of its bound.
    page.add_init_script(f"Math.random = () => {luck}; window.loads = (window.loads ?? 0) + 1")
    page.route_web_socket("**/api/v2/ws", line.on_socket)
    page.goto(f"{stack.url}/devices")
    log_in(stack, page)
    row = page.get_by_test_id("device-row").filter(has_text=device.name)
    expect(row).to_have_attribute("data-status", "never")

    while_waiting(page, lambda: len(line.tried_at) > len(BOUNDS_SECONDS))
    pauses = line.pauses()[: len(BOUNDS_SECONDS)]
    line.cut, tried = False, len(line.said)
    while_waiting(page, lambda: line.passed > 0)
    with device.online() as peer:
        while_waiting(
            page,
            lambda: (
                bool(peer.publish(device.telemetry, json.dumps({"metrics": {"load": 1}})))
                and row.get_attribute("data-status") == "live"
            ),
        )
    expect(page.get_by_test_id("connection")).to_contain_text("Live updates")

    if luck:
        assert all(p >= bound * 0.95 for p, bound in zip(pauses, BOUNDS_SECONDS, strict=True)), (
            pauses
        )
    else:
        assert sum(pauses) < sum(BOUNDS_SECONDS), pauses
    assert {json.loads(text)["type"] for text in line.said[tried:]} == {"subscribe"}
    assert page.evaluate("window.loads") == 1
