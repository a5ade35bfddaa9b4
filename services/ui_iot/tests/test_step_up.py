"""Acts that need a recent log-in: who is led to one, who is told, and that an old one does not pass (RFC 9470)."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import pytest
from services.ui_iot.tests.people import is_signed_in, sign_in_twice
from services.ui_iot.tests.rig import ISSUER, PUBLIC_URL, claims_of, open_rig

from ui_iot import cookies

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2
    import psycopg
    from services.ui_iot.tests.rig import Browser, Rig
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio

ACT = "/sessions/end-others"
TO_LOG_IN = "/auth/login?step_up=1&next=%2Fsessions%2Fend-others"


async def ask_api(browser: Browser) -> httpx2.Response:
    headers = {"x-csrf-token": browser.csrf, "origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}
    return await browser.post(f"/api/v2{ACT}", headers=headers)


async def test_old_log_in_is_led_to_a_new_one_and_comes_back_to_the_act(
    rig: Rig, acme: UUID
) -> None:
    desk, phone, claims = await sign_in_twice(rig, acme)
    rig.pass_time(seconds=301)

    led = await desk.page(ACT)
    out = await desk.page(led.headers["location"])
    query = rig.provider.approve(out.headers["location"], {**claims, "sid": "again"})
    back = await desk.page(f"/auth/callback?{query}")
    confirmation = await desk.page(ACT)
    await desk.submit(ACT)

    assert led.headers["location"] == TO_LOG_IN
    asked = parse_qs(urlsplit(out.headers["location"]).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["0"])
    assert f'url={ACT}"' in back.text
    assert confirmation.status_code == 200
    assert not await is_signed_in(phone)
    assert await is_signed_in(desk)
    assert [action for action, _, _ in rig.acts(claims["sub"])] == [
        "session.begin",
        "session.begin",
        "session.step_up",
        "session.end",
    ]


async def test_record_of_a_step_up_says_from_where_and_with_what(rig: Rig, acme: UUID) -> None:
    seen = {"x-forwarded-for": "203.0.113.9", "user-agent": "Desk/1"}
    claims = claims_of(acme, "customer")
    desk = await rig.log_in(rig.browser(**seen), **claims)
    rig.pass_time(seconds=301)

    out = await desk.page((await desk.page(ACT)).headers["location"])
    query = rig.provider.approve(out.headers["location"], {**claims, "sid": "again"})
    await desk.page(f"/auth/callback?{query}")

    rows = rig.superuser.execute(
        "SELECT address, user_agent, outcome FROM audit_log"
        " WHERE action = 'session.step_up' AND actor_id = %s",
        [claims["sub"]],
    ).fetchall()
    assert rows == [("203.0.113.9", "Desk/1", "success")]


async def test_form_that_waited_too_long_is_led_to_the_log_in_and_does_nothing(
    rig: Rig, acme: UUID
) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)
    await desk.page(ACT)
    rig.pass_time(seconds=301)

    response = await desk.submit(ACT)

    assert (response.status_code, response.headers["location"]) == (303, TO_LOG_IN)
    assert await is_signed_in(phone)


async def test_api_says_what_is_missing(rig: Rig, acme: UUID) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)
    rig.pass_time(seconds=301)

    response = await ask_api(desk)

    assert response.status_code == 401
    assert response.json()["type"] == "urn:pulse:problem:step_up_required"
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_user_authentication", ')
    assert challenge.endswith('max_age="300"')
    # Not signed out: only not recently enough signed in.
    assert cookies.SESSION in desk.cookies
    assert await is_signed_in(phone)


async def test_recent_log_in_passes(rig: Rig, acme: UUID) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)
    rig.pass_time(seconds=300)

    assert (await ask_api(desk)).json() == {"ended": 1}
    assert not await is_signed_in(phone)


@pytest.mark.parametrize("change", [{"auth_time": ...}, {"auth_time": 0}])
async def test_token_that_names_no_recent_log_in_is_not_enough(
    rig: Rig, acme: UUID, change: dict[str, object]
) -> None:
    token = ISSUER.token(**{**claims_of(acme, "customer"), **change})

    response = await rig.browser().post(
        f"/api/v2{ACT}", headers={"authorization": f"Bearer {token}"}
    )

    assert response.status_code == 401
    assert "insufficient_user_authentication" in response.headers["www-authenticate"]


@pytest.mark.parametrize("auth_time", [timedelta(seconds=301), timedelta(hours=8), None])
async def test_provider_that_asks_for_no_password_is_no_step_up_and_no_loop(
    rig: Rig, acme: UUID, auth_time: timedelta | None
) -> None:
    desk, _, claims = await sign_in_twice(rig, acme)
    old = ... if auth_time is None else int((rig.now - auth_time).timestamp())
    out = await desk.page(TO_LOG_IN)
    query = rig.provider.approve(out.headers["location"], {**claims, "auth_time": old})

    response = await desk.page(f"/auth/callback?{query}")

    assert response.status_code == 403
    assert cookies.SESSION not in response.cookies
    assert rig.sessions(claims["sub"]) == 2


async def test_ordinary_log_in_may_be_an_old_one(rig: Rig, acme: UUID) -> None:
    claims = {**claims_of(acme, "customer"), "auth_time": int(rig.now.timestamp()) - 3600}

    browser = await rig.log_in(rig.browser(), **claims)

    assert await is_signed_in(browser)


async def test_level_that_a_setting_names_is_asked_for_and_nothing_lower_passes(
    postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    async with open_rig(postgres, nats_server, superuser, step_up_acr="2") as rig:
        acme = rig.tenant()
        claims = claims_of(acme, "customer")
        desk = await rig.log_in(rig.browser(), **claims)
        led = await desk.page(ACT)
        low = await desk.page(led.headers["location"])
        refused = await desk.page(
            f"/auth/callback?{rig.provider.approve(low.headers['location'], claims)}"
        )
        asked = await desk.page(led.headers["location"])
        query = rig.provider.approve(asked.headers["location"], {**claims, "acr": "2"})
        passed = await desk.page(f"/auth/callback?{query}")
        confirmation = await desk.page(ACT)
        token = ISSUER.token(**{**claims, "acr": "1"})
        told = await rig.browser().post(
            f"/api/v2{ACT}", headers={"authorization": f"Bearer {token}"}
        )

    assert parse_qs(urlsplit(low.headers["location"]).query)["acr_values"] == ["2"]
    assert (refused.status_code, passed.status_code) == (403, 200)
    assert confirmation.status_code == 200
    assert told.headers["www-authenticate"].endswith('max_age="300", acr_values="2"')
