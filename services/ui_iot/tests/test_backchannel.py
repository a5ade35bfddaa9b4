"""Keycloak's word ends the sessions that it names, once, and nobody else's word ends any."""

from __future__ import annotations

import dataclasses
import time
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.people import is_signed_in, sign_in_twice
from services.ui_iot.tests.rig import ISSUER, claims_of, open_rig
from services.ui_iot.tests.viewer import close_code, serving, subscribe, watching

from pulse_common.jwt import LOGOUT_TOKEN_SECONDS
from pulse_common.testing.tokens import Issuer
from ui_iot import logout_store
from ui_iot.socket import Pace

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2
    import psycopg
    from services.ui_iot.tests.rig import Browser, Rig
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio

DOOR = "/auth/backchannel-logout"


def token_for(rig: Rig, **claims: object) -> str:
    now = dataclasses.replace(ISSUER, now=rig.now)
    return now.logout_token({}, **{"jti": str(uuid4()), **claims})


async def tell(rig: Rig, token: str) -> httpx2.Response:
    # As Keycloak asks: no cookie, no origin.
    return await rig.browser().post(DOOR, data={"logout_token": token})


async def test_session_that_is_named_ends_and_the_others_stay(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    desk, phone, claims = await sign_in_twice(rig, acme)

    response = await tell(rig, token_for(rig, sid="phone", sub=claims["sub"]))

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["cache-control"] == "no-store"
    assert not await is_signed_in(phone)
    assert await is_signed_in(desk)
    assert await is_signed_in(alice)


async def test_all_sessions_of_a_person_end_when_none_is_named(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    desk, phone, claims = await sign_in_twice(rig, acme)

    await tell(rig, token_for(rig, sid=..., sub=claims["sub"]))

    assert not await is_signed_in(desk)
    assert not await is_signed_in(phone)
    assert await is_signed_in(alice)


async def test_session_of_another_person_does_not_end(rig: Rig, acme: UUID) -> None:
    desk, phone, _ = await sign_in_twice(rig, acme)

    response = await tell(rig, token_for(rig, sid="phone", sub="somebody"))

    assert response.status_code == 200
    assert await is_signed_in(desk)
    assert await is_signed_in(phone)


async def test_end_is_audited_in_the_persons_tenant(rig: Rig, acme: UUID) -> None:
    _, _, claims = await sign_in_twice(rig, acme)

    await tell(rig, token_for(rig, sid="phone", sub=claims["sub"]))

    found = rig.superuser.execute(
        "SELECT tenant_id, actor_kind, actor_id, object_id, reason, address FROM audit_log"
        " WHERE action = 'session.end' AND details ->> 'subject' = %s",
        [claims["sub"]],
    ).fetchall()
    expected = ("service", "identity_provider", "phone", "back-channel log-out", "127.0.0.1")
    assert found == [(acme, *expected)]


async def test_token_is_taken_once(rig: Rig, acme: UUID) -> None:
    claims = claims_of(acme, "customer")
    await rig.log_in(rig.browser(), **claims)
    token = token_for(rig, sid=..., sub=claims["sub"])
    await tell(rig, token)
    browser = await rig.log_in(rig.browser(), **claims)

    response = await tell(rig, token)

    assert response.status_code == 400
    assert await is_signed_in(browser)


async def test_refusal_is_a_400_that_is_recorded_and_ends_nothing(rig: Rig, acme: UUID) -> None:
    desk, _, claims = await sign_in_twice(rig, acme)
    mine = {"sid": claims["sid"], "sub": claims["sub"]}
    spoilt = [
        "",
        "nonsense",
        Issuer(rig.now).logout_token({}, **mine),
        token_for(rig, **mine, aud="another"),
        token_for(rig, **mine, nonce="n"),
        dataclasses.replace(ISSUER, now=rig.now).token(**mine),
    ]
    for token in spoilt:
        response = await tell(rig, token)

        assert response.status_code == 400, token
        assert response.headers["cache-control"] == "no-store"
        assert response.json()["detail"] == "the logout token is not valid"
    assert await is_signed_in(desk)
    reasons = rig.superuser.execute(
        "SELECT DISTINCT reason FROM audit_log WHERE reason LIKE 'logout_token_%'"
    ).fetchall()
    assert {"logout_token_signature", "logout_token_audience"} <= {row[0] for row in reasons}


async def test_token_in_the_query_or_in_json_is_none(rig: Rig, acme: UUID) -> None:
    desk, _, claims = await sign_in_twice(rig, acme)
    token = token_for(rig, sid=claims["sid"])

    by_query = await rig.browser().post(f"{DOOR}?logout_token={token}")
    by_json = await rig.browser().post(DOOR, json={"logout_token": token})

    assert (by_query.status_code, by_json.status_code) == (400, 400)
    assert await is_signed_in(desk)


async def test_unknown_session_is_as_good_as_ended(rig: Rig) -> None:
    assert (await tell(rig, token_for(rig, sid="unknown", sub="nobody"))).status_code == 200


@pytest.mark.parametrize("way", ["back channel", "other browser", "log-out"])
async def test_open_view_closes_within_two_seconds_though_its_regular_look_is_far(
    postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection, way: str
) -> None:
    async with open_rig(postgres, nats_server, superuser, pace=Pace()) as rig:
        desk, phone, claims = await sign_in_twice(rig, rig.tenant())
        async with serving(rig) as url, watching(url, phone) as socket:
            await subscribe(rig, socket)
            began = time.monotonic()
            match way:
                case "back channel":
                    await tell(rig, token_for(rig, sid="phone", sub=claims["sub"]))
                case "other browser":
                    await desk.submit("/sessions/end-others")
                case _:
                    await phone.submit("/auth/logout")

            assert await close_code(socket) == 4401

        assert time.monotonic() - began < 2


async def test_token_that_one_replica_took_is_refused_by_another(
    rig: Rig, acme: UUID, postgres: Postgres, nats_server: Nats, superuser: psycopg.Connection
) -> None:
    claims = claims_of(acme, "customer")
    token = token_for(rig, sid=..., sub=claims["sub"])
    await tell(rig, token)
    browser = await rig.log_in(rig.browser(), **claims)

    async with open_rig(postgres, nats_server, superuser) as other:
        response = await tell(other, token)

    assert response.status_code == 400
    assert await is_signed_in(browser)


async def test_used_tokens_are_forgotten_when_their_age_refuses_them(rig: Rig) -> None:
    end = rig.now + timedelta(seconds=LOGOUT_TOKEN_SECONDS)
    async with rig.db.service_connection("pulse_sessions") as tx:
        await logout_store.add(tx, "used", end)
        await logout_store.add(tx, "used", end)

        await logout_store.delete_useless(tx, end - timedelta(seconds=1))
        assert await logout_store.is_used(tx, "used")
        await logout_store.delete_useless(tx, end)
        assert not await logout_store.is_used(tx, "used")
