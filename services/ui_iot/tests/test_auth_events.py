"""Log-ins, refused ones too, and log-outs are in the audit log, with where from and what with."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.people import FIREFOX
from services.ui_iot.tests.rig import Rig, claims_of

if TYPE_CHECKING:
    from uuid import UUID

pytestmark = pytest.mark.anyio

FORWARDED = {"x-forwarded-for": "198.51.100.1, 203.0.113.9", "user-agent": FIREFOX}


def refusals(rig: Rig, address: str) -> list[tuple[str, str, str]]:
    found = rig.superuser.execute(
        "SELECT outcome, reason, user_agent FROM audit_log"
        " WHERE action = 'credentials.refuse' AND address = %s ORDER BY at, audit_id",
        [address],
    ).fetchall()
    return [(str(row[0]), str(row[1]), str(row[2])) for row in found]


async def test_log_in_and_log_out_name_the_proxys_client_and_the_browser(
    rig: Rig, acme: UUID
) -> None:
    claims = claims_of(acme, "customer")
    browser = await rig.log_in(rig.browser(**FORWARDED), **claims)
    await browser.page("/devices")

    await browser.submit("/auth/logout")

    found = rig.superuser.execute(
        "SELECT action, address, user_agent FROM audit_log WHERE actor_id = %s ORDER BY at",
        [claims["sub"]],
    ).fetchall()
    with_what = ("203.0.113.9", FIREFOX)
    assert found == [("session.begin", *with_what), ("session.end", *with_what)]


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        ("state=forged&code=x", "login_state"),
        ("{good}&iss=https://elsewhere.example", "login_issuer"),
        ("state={state}&error=access_denied", "login_provider"),
        ("state={state}&code=unknown", "login_code"),
    ],
)
async def test_refused_log_in_is_recorded_with_its_reason(
    rig: Rig, query: str, reason: str
) -> None:
    address = f"2001:db8::{uuid4().hex[:4]}"
    browser = rig.browser(**{**FORWARDED, "x-forwarded-for": address})
    begun = await browser.page("/auth/login")
    good = rig.provider.approve(begun.headers["location"], {}).rpartition("&iss=")[0]
    state = good.partition("&")[0].removeprefix("state=")

    response = await browser.page(f"/auth/callback?{query.format(good=good, state=state)}")

    assert response.status_code == 403
    [(outcome, found, program)] = refusals(rig, str(ip_address(address)))
    assert (outcome, found) == ("denied", reason)
    assert program == FIREFOX


async def test_callback_that_nobody_began_is_recorded(rig: Rig) -> None:
    await rig.browser(**{"x-forwarded-for": "203.0.113.77"}).page("/auth/callback?code=a&state=b")

    assert [reason for _, reason, _ in refusals(rig, "203.0.113.77")] == ["login_not_begun"]


async def test_refused_token_is_recorded(rig: Rig) -> None:
    headers = {"authorization": "Bearer forged", "x-forwarded-for": "203.0.113.78"}

    await rig.browser().get("/api/v2/devices", headers=headers)

    assert [reason for _, reason, _ in refusals(rig, "203.0.113.78")] == ["malformed"]
