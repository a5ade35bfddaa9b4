from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from services.ui_iot.tests.rig import PUBLIC_URL, Browser, Rig, claims_of

from ui_iot import cookies

if TYPE_CHECKING:
    from uuid import UUID

pytestmark = pytest.mark.anyio


async def test_log_out_ends_the_session_here_and_there(rig: Rig, alice: Browser) -> None:
    old = alice.session

    response = await alice.submit("/auth/logout")

    location = urlsplit(response.headers["location"])
    query = parse_qs(location.query)
    assert response.status_code == 303
    assert location.path.endswith("/protocol/openid-connect/logout")
    assert query["post_logout_redirect_uri"] == [f"{PUBLIC_URL}/"]
    assert query["id_token_hint"][0].count(".") == 2
    assert '"cache", "storage"' in response.headers["clear-site-data"]
    assert cookies.SESSION not in alice.cookies
    alice.cookies.set(cookies.SESSION, old, domain="pulse.example")
    assert (await alice.get("/api/v2/devices")).status_code == 401


async def test_log_out_by_access_token_ends_nobodys_session(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    response = await alice.post("/auth/logout", headers=rig.bearer(acme))

    assert response.status_code == 400
    assert (await alice.get("/api/v2/devices")).status_code == 200


async def test_signed_out_visitor_is_welcomed_and_a_signed_in_one_goes_on(
    rig: Rig, alice: Browser
) -> None:
    welcome = await rig.browser().page("/")
    onward = await alice.page("/")

    assert welcome.status_code == 200
    assert "Log in" in welcome.text
    assert onward.headers["location"] == "/devices"


async def test_operator_is_led_to_the_console_and_can_leave(rig: Rig, acme: UUID) -> None:
    operator = {**claims_of(acme, "operator"), "tenant_id": ..., "name": "Olivia"}
    browser = await rig.log_in(rig.browser(), **operator)

    led = await browser.page("/devices")
    response = await browser.page("/devices/new")
    left = await browser.submit("/auth/logout")

    assert (led.status_code, led.headers["location"]) == (303, "/operator/tenants")
    assert response.status_code == 403
    assert "operators&#39; console" in response.text
    assert "Olivia" in response.text
    assert 'action="/auth/logout"' in response.text
    assert left.status_code == 303
