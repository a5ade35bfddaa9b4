"""One person in several browsers, and what a page or the API says of their sessions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from services.ui_iot.tests.rig import Browser, Rig, claims_of

if TYPE_CHECKING:
    from uuid import UUID

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
SAFARI = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/17.5 Mobile/15E148 Safari/604.1"
)


async def sign_in_twice(rig: Rig, tenant: UUID) -> tuple[Browser, Browser, dict[str, object]]:
    """Sign one person in at a desk and on a phone; the claims are those of the desk."""
    claims = claims_of(tenant, "customer")
    desk = rig.browser(**{"user-agent": FIREFOX})
    phone = rig.browser(**{"user-agent": SAFARI, "x-forwarded-for": "203.0.113.7"})
    await rig.log_in(desk, **claims)
    await rig.log_in(phone, **{**claims, "sid": "phone"})
    await desk.page("/sessions")
    await phone.page("/sessions")
    return desk, phone, claims


async def sessions_of(browser: Browser) -> list[dict[str, Any]]:
    response = await browser.get("/api/v2/sessions")
    assert response.status_code == 200, response.text
    found: list[dict[str, Any]] = response.json()["sessions"]
    return found


async def is_signed_in(browser: Browser) -> bool:
    response = await browser.get("/api/v2/session")
    assert response.status_code in {200, 401}, response.text
    return response.status_code == 200
