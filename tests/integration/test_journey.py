"""The main job, as a customer does it: log in, add a device, enrol it, watch it live, cut it off."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.integration.chromium import Tab, open_tab
from tests.integration.people import ALICE
from tests.integration.waiting import eventually
from tests.integration.world import CLI, cli

from pulse_local.environments import minimal

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration

NAME = "Press 4 <script>window.stolen = document.cookie; alert(1)</script>"
CHART = "cpu_percent"
REFUSED = 6
WITHIN_MILLISECONDS = 5_000


@pytest.fixture
def tab(stack: Stack, artifacts: Path) -> Iterator[Tab]:
    with open_tab(stack.tls.certificate, artifacts / "journey") as opened:
        yield opened


def test_customer_adds_a_device_watches_it_and_cuts_it_off(
    stack: Stack, tab: Tab, tmp_path: Path
) -> None:
    folder = tmp_path / "device"
    _log_in(stack, tab)
    command = _add_device(tab)
    enrolled = cli(*shlex.split(command)[1:], *_here(stack, folder))
    assert enrolled.returncode == 0, enrolled.stderr

    with _running(folder) as device:
        _see_it_arrive(tab)
        _see_its_chart_move(tab)
        _revoke(tab)
        _see_it_cut_off(tab)
        # It reconnects by itself, is refused, and that is its end.
        assert device.wait(timeout=20) == REFUSED
    _see_it_cut_off_in_the_list(tab)

    again = cli("run", "--dir", str(folder), "--exit-when-refused")
    assert again.returncode == REFUSED, again.stderr
    assert tab.page.evaluate("window.stolen") is None
    _log_out(stack, tab)
    assert tab.complaints == []


def _log_in(stack: Stack, tab: Tab) -> None:
    page = tab.page
    page.goto(stack.url)
    tab.shoot("welcome")
    page.get_by_test_id("login").click()
    expect(page.locator("#kc-form-login")).to_be_visible()
    assert "code_challenge_method=S256" in page.url
    tab.shoot("log-in")
    page.fill("#username", ALICE)
    page.fill("#password", stack.secrets.demo_password)
    page.click("#kc-login")
    page.wait_for_url("**/devices")
    expect(page.get_by_test_id("tenant-name")).to_have_text("Acme")
    tab.shoot("devices")


def _add_device(tab: Tab) -> str:
    """Return the enrolment command that the page shows."""
    page = tab.page
    page.get_by_test_id("add-device").first.click()
    page.get_by_test_id("device-name").fill(NAME)
    page.get_by_test_id("create-device").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Enrol {NAME}")
    expect(page.get_by_test_id("connection")).to_have_text("Live updates")
    command = page.get_by_test_id("enrol-command").inner_text()
    # The token is worth a certificate until it is used: it is not for an artifact.
    assert command.startswith("pulse-device enroll --server ")
    return command


def _here(stack: Stack, folder: Path) -> list[str]:
    """What a device on a development machine needs besides the command of the page."""
    return ["--ca", str(stack.tls.ca), "--dir", str(folder)]


@contextmanager
def _running(folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    arguments = ["run", "--dir", str(folder), "--interval", "0.5", "--exit-when-refused"]
    with (
        (folder / "log.txt").open("wb") as log,
        subprocess.Popen(
            [CLI, *arguments], env=minimal(), stdout=log, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def _see_it_arrive(tab: Tab) -> None:
    page = tab.page
    # The page notices by itself.
    expect(page.get_by_test_id("enrol-status")).to_have_attribute("data-status", "live")
    tab.shoot("enrolled")
    page.get_by_test_id("open-device").click()
    expect(page.get_by_test_id("device-status")).to_have_text("Live")
    expect(page.get_by_role("heading", level=1)).to_have_text(NAME)


def _see_its_chart_move(tab: Tab) -> None:
    page = tab.page
    chart, latest = page.get_by_test_id(f"chart-{CHART}"), page.get_by_test_id(f"latest-{CHART}")
    expect(chart.locator("canvas")).to_be_visible()
    points, value = _points(tab), latest.inner_text()
    eventually(lambda: _points(tab) >= points + 3, "three more points in the chart")
    eventually(lambda: latest.inner_text() != value, "another latest value")
    tab.shoot("live")


def _points(tab: Tab) -> int:
    return int(tab.page.get_by_test_id(f"chart-{CHART}").get_attribute("data-points") or 0)


def _revoke(tab: Tab) -> None:
    page = tab.page
    page.get_by_test_id("revoke").click()
    page.get_by_test_id("reason-keyCompromise").click()
    tab.shoot("revoke")
    page.get_by_test_id("revoke-confirm").click()


def _see_it_cut_off(tab: Tab) -> None:
    page = tab.page
    measured = page.get_by_test_id("cut-off-after")
    expect(measured).to_have_text(re.compile(r"^[\d,]+ ms$"))
    expect(page.get_by_test_id("device-status")).to_have_text("Cut off")
    expect(page.get_by_test_id("certificate-state")).to_have_text("Revoked")
    expect(page.get_by_test_id("revoke")).to_have_count(0)
    assert int(re.sub(r"\D", "", measured.inner_text())) < WITHIN_MILLISECONDS
    tab.shoot("cut-off")


def _see_it_cut_off_in_the_list(tab: Tab) -> None:
    page = tab.page
    page.get_by_role("link", name="Devices").first.click()
    row = page.get_by_test_id("device-row").filter(has_text="Press 4")
    expect(row).to_have_attribute("data-status", "cut_off")
    expect(row.get_by_test_id("device-status")).to_have_text("Cut off")
    tab.shoot("list")


def _log_out(stack: Stack, tab: Tab) -> None:
    tab.page.get_by_test_id("logout").click()
    expect(tab.page.get_by_test_id("login")).to_be_visible()
    # The session is gone at the server, not only from the page.
    tab.page.goto(f"{stack.url}/devices")
    expect(tab.page.locator("#kc-form-login")).to_be_visible()
