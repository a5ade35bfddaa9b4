from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.provider import LIFE_SECONDS, Mood
from services.ui_iot.tests.rig import HTML, Browser, Rig, claims_of, open_rig

from ui_iot import cookies
from ui_iot.refresh import MOST_AT_ONCE

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio


async def statuses(browser: Browser, times: int) -> Counter[int]:
    responses = await asyncio.gather(*(browser.get("/api/v2/devices") for _ in range(times)))
    return Counter(response.status_code for response in responses)


def open_transactions(rig: Rig) -> int:
    row = rig.superuser.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE usename = 'svc_ui_iot' AND xact_start IS NOT NULL"
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_of_fifty_parallel_requests_one_refreshes(rig: Rig, alice: Browser) -> None:
    rig.pass_time(seconds=LIFE_SECONDS)
    rig.provider.seconds = 1.0

    asking = asyncio.create_task(statuses(alice, 50))
    await asyncio.sleep(0.7)
    held = open_transactions(rig)

    assert await asking == {200: 50}
    assert rig.provider.refreshes == 1
    # Were each to wait for the row lock, ten would hold the whole pool and the others would starve.
    assert held == 1


async def test_two_replicas_refresh_once_between_them(
    rig: Rig, alice: Browser, postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    async with open_rig(postgres, nats_server, superuser) as other:
        other.provider.refresh_tokens = rig.provider.refresh_tokens
        twin = other.browser()
        twin.cookies.set(cookies.SESSION, alice.session, domain="pulse.example")
        rig.pass_time(seconds=LIFE_SECONDS)
        other.now = rig.now
        rig.provider.seconds = other.provider.seconds = 0.2

        here, there = await asyncio.gather(statuses(alice, 10), statuses(twin, 10))

        assert here == there == {200: 10}
        assert rig.provider.refreshes + other.provider.refreshes == 1


async def test_requests_of_the_next_period_refresh_again_with_the_rotated_token(
    rig: Rig, alice: Browser
) -> None:
    for _ in range(3):
        rig.pass_time(seconds=LIFE_SECONDS)
        assert await statuses(alice, 2) == {200: 2}

    assert rig.provider.refreshes == 3


async def test_good_token_is_not_refreshed(rig: Rig, alice: Browser) -> None:
    rig.pass_time(seconds=LIFE_SECONDS - 31)

    assert await statuses(alice, 5) == {200: 5}
    assert rig.provider.refreshes == 0


async def test_refused_refresh_signs_out_and_leaves_nothing(rig: Rig, acme: UUID) -> None:
    claims = claims_of(acme, "customer")
    where_from = {"x-forwarded-for": "203.0.113.9", "user-agent": "Firefox"}
    browser = await rig.log_in(rig.browser(**where_from), **claims)
    rig.pass_time(seconds=LIFE_SECONDS)
    rig.provider.mood = "refusing"

    answered = await statuses(browser, 20)

    assert answered == {401: 20}
    assert rig.provider.refreshes == 1
    assert rig.sessions(str(claims["sub"])) == 0
    ended = rig.superuser.execute(
        "SELECT tenant_id, action, reason, address, user_agent FROM audit_log"
        " WHERE details ->> 'subject' = %s",
        [claims["sub"]],
    ).fetchall()
    assert ended == [(acme, "session.end", "refresh refused", "203.0.113.9", "Firefox")]


@pytest.mark.parametrize("mood", ["away", "misconfigured", "broken"])
async def test_absent_provider_is_said_and_costs_nobody_the_session(
    rig: Rig, alice: Browser, mood: Mood
) -> None:
    rig.pass_time(seconds=LIFE_SECONDS)
    rig.provider.mood = mood

    away = await alice.get("/devices", headers=HTML)
    rig.provider.mood = "well"
    back = await alice.get("/devices", headers=HTML)

    assert away.status_code == 503
    assert back.status_code == 200


async def test_token_that_is_still_good_outlasts_an_absent_provider(
    rig: Rig, alice: Browser
) -> None:
    rig.pass_time(seconds=LIFE_SECONDS - 5)
    rig.provider.mood = "away"

    assert await statuses(alice, 3) == {200: 3}


async def test_browser_that_goes_away_does_not_lose_the_rotated_token(
    rig: Rig, alice: Browser
) -> None:
    rig.pass_time(seconds=LIFE_SECONDS)
    rig.provider.seconds = 0.3
    request = asyncio.create_task(alice.get("/api/v2/devices"))
    await asyncio.sleep(0.1)

    request.cancel()
    await asyncio.gather(request, return_exceptions=True)

    assert await statuses(alice, 1) == {200: 1}
    assert rig.provider.refreshes == 1


async def test_slow_provider_holds_up_only_who_needs_it(rig: Rig, acme: UUID) -> None:
    waiting = [await rig.person(acme) for _ in range(MOST_AT_ONCE + 10)]
    rig.pass_time(seconds=LIFE_SECONDS)
    served = await rig.person(acme)
    rig.provider.seconds = 0.6
    held_up = [asyncio.create_task(browser.get("/api/v2/devices")) for browser in waiting]
    await asyncio.sleep(0.2)

    async with asyncio.timeout(0.6):
        response = await served.get("/api/v2/devices")

    assert response.status_code == 200
    assert {(await task).status_code for task in held_up} == {200}


async def test_refresh_never_turns_one_person_into_another(rig: Rig, acme: UUID) -> None:
    browser = await rig.person(acme)
    token = next(iter(rig.provider.refresh_tokens))
    rig.provider.refresh_tokens[token] = claims_of(acme, "tenant-admin")
    rig.pass_time(seconds=LIFE_SECONDS)

    assert await statuses(browser, 1) == {401: 1}
