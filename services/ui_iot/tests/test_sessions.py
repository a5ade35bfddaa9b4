from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx2
import pytest
from services.ui_iot.tests.rig import HTML, KEY, Browser, Rig, claims_of, open_rig

from ui_iot import cookies, session_store
from ui_iot.sessions import ABSOLUTE_LIFE, IDLE_LIFE

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio


def row_of(rig: Rig, value: str) -> tuple[bytes, bytes] | None:
    found = rig.superuser.execute(
        "SELECT session_hash, tokens_sealed FROM web_sessions WHERE session_hash = %s",
        [hashlib.sha256(value.encode()).digest()],
    ).fetchone()
    return None if found is None else (bytes(found[0]), bytes(found[1]))


async def is_signed_in(browser: Browser) -> bool:
    response = await browser.get("/api/v2/devices")
    assert response.status_code in {200, 401}, response.text
    return response.status_code == 200


async def test_cookie_is_for_this_host_over_tls_and_out_of_reach_of_scripts(
    rig: Rig, acme: UUID
) -> None:
    browser = rig.browser()
    begun = await browser.page("/auth/login")
    query = rig.provider.approve(begun.headers["location"], claims_of(acme, "customer"))

    finished = await browser.page(f"/auth/callback?{query}")

    of_login = begun.headers["set-cookie"]
    of_session = finished.headers.get_list("set-cookie")[0]
    assert of_session.startswith("__Host-pulse_session=")
    assert of_login.startswith("__Host-pulse_login=")
    assert "SameSite=strict" in of_session
    # The way back from the identity provider is a link from another site.
    assert "SameSite=lax" in of_login
    for cookie in (of_session, of_login):
        assert {"Secure", "HttpOnly", "Path=/"} <= set(cookie.split("; "))
        assert "Domain" not in cookie


async def test_database_holds_no_cookie_and_no_token_that_could_be_used(
    rig: Rig, alice: Browser
) -> None:
    row = row_of(rig, alice.session)

    assert row is not None
    everything = b"".join(row)
    assert alice.session.encode() not in everything
    assert b"eyJ" not in everything
    assert next(iter(rig.provider.refresh_tokens)).encode() not in everything


async def test_log_in_makes_a_new_session_and_ends_the_old_one(rig: Rig, acme: UUID) -> None:
    browser = await rig.person(acme)
    old = browser.session

    await rig.log_in(browser, **claims_of(acme, "customer"))

    assert browser.session != old
    assert row_of(rig, old) is None
    assert row_of(rig, browser.session) is not None


async def test_old_session_ends_though_the_way_back_came_without_its_cookie(
    rig: Rig, alice: Browser, acme: UUID
) -> None:
    old = alice.session
    begun = await alice.page("/auth/login")
    query = rig.provider.approve(begun.headers["location"], claims_of(acme, "customer"))
    alice.cookies.delete(cookies.SESSION)

    await alice.page(f"/auth/callback?{query}")

    assert row_of(rig, old) is None


async def test_cookie_planted_before_the_log_in_is_never_the_sessions(rig: Rig, acme: UUID) -> None:
    browser = rig.browser()
    browser.cookies.set(cookies.SESSION, "planted", domain="pulse.example")

    await rig.log_in(browser, **claims_of(acme, "customer"))

    assert row_of(rig, "planted") is None
    assert browser.cookies.get(cookies.SESSION, domain="pulse.example") != "planted"


@pytest.mark.parametrize("value", ["", "nonsense", "é", "a" * 4000, "x\x7fy"])
async def test_unknown_cookie_is_signed_out(rig: Rig, value: str) -> None:
    header = {b"cookie": f"{cookies.SESSION}={value}".encode()}

    response = await rig.browser().get("/devices", headers=httpx2.Headers(header))

    assert response.status_code == 401


async def test_dead_cookie_is_taken_away_when_a_person_is_led_to_the_log_in(
    rig: Rig, alice: Browser
) -> None:
    rig.pass_time(hours=1)

    response = await alice.get("/devices", headers=HTML)

    assert response.status_code == 303
    assert f'{cookies.SESSION}=""; ' in response.headers["set-cookie"]
    assert cookies.SESSION not in alice.cookies


async def test_idle_session_ends(rig: Rig, alice: Browser) -> None:
    rig.now += IDLE_LIFE
    assert await is_signed_in(alice)

    rig.now += IDLE_LIFE + timedelta(seconds=1)

    assert not await is_signed_in(alice)


async def test_session_in_use_ends_when_its_day_is_over(rig: Rig, alice: Browser) -> None:
    ends = rig.now + ABSOLUTE_LIFE
    while rig.now < ends - timedelta(minutes=20):
        rig.pass_time(minutes=20)
        assert await is_signed_in(alice)

    rig.now = ends

    assert not await is_signed_in(alice)


async def test_sessions_that_are_over_are_cleaned_away_and_others_stay(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    rig.now += IDLE_LIFE + timedelta(seconds=1)
    bob = await rig.person(acme)

    async with rig.db.service_connection("pulse_sessions") as tx:
        await session_store.delete_ended_sessions(tx, rig.now, rig.now - IDLE_LIFE)

    assert row_of(rig, alice.session) is None
    assert await is_signed_in(bob)


async def test_session_sealed_with_the_previous_key_opens_and_with_a_lost_one_is_signed_out(
    rig: Rig, alice: Browser, postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    for keys, status in (([b"n" * 32, KEY], 200), ([b"n" * 32], 401)):
        async with open_rig(postgres, nats_server, superuser, keys=keys) as restarted:
            browser = restarted.browser()
            browser.cookies.set(cookies.SESSION, alice.session, domain="pulse.example")

            response = await browser.get("/api/v2/devices")

        assert response.status_code == status


async def test_begin_and_end_are_audited_with_the_person_in_the_persons_tenant(
    rig: Rig, acme: UUID
) -> None:
    claims = claims_of(acme, "customer")
    browser = await rig.log_in(rig.browser(), **claims)
    await browser.page("/devices")

    await browser.submit("/auth/logout")

    acts = rig.superuser.execute(
        "SELECT action, actor_kind, actor_id, object_kind, object_id, address FROM audit_log"
        " WHERE tenant_id = %s ORDER BY at",
        [acme],
    ).fetchall()
    common = ("user", claims["sub"], "session", claims["sid"], "127.0.0.1")
    assert acts == [("session.begin", *common), ("session.end", *common)]


async def test_operators_log_in_is_audited_as_the_platforms(rig: Rig, acme: UUID) -> None:
    claims = {**claims_of(acme, "operator"), "tenant_id": ...}

    await rig.log_in(rig.browser(), **claims)

    acts = rig.superuser.execute(
        "SELECT tenant_id::text, actor_kind FROM audit_log WHERE actor_id = %s", [claims["sub"]]
    ).fetchall()
    assert acts == [("00000000-0000-0000-0000-000000000000", "operator")]
