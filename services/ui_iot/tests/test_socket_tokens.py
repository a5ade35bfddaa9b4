"""The live view for API clients: a token in the first message, never a cookie, never longer than the token."""

from __future__ import annotations

import asyncio
import json
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.rig import ISSUER, Browser, Rig, claims_of
from services.ui_iot.tests.viewer import ALL, close_code, hear, speak, subscribe, until, watching

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from websockets.asyncio.client import ClientConnection

pytestmark = pytest.mark.anyio

EXPIRED = "the token has expired"


def token_of(rig: Rig, tenant: UUID, role: str = "customer", seconds: int = 60, **more: str) -> str:
    now = int(rig.now.timestamp())
    claims = {**claims_of(tenant, role), "iat": now, "exp": now + seconds, **more}
    return str(ISSUER.token(**claims))


async def authenticate(socket: ClientConnection, token: str) -> None:
    await socket.send(json.dumps({"type": "authenticate", "token": token}))


async def test_client_with_a_token_hears_its_own_tenant_and_no_other(
    rig: Rig, url: str, acme: UUID
) -> None:
    lamp = uuid4()
    async with watching(url, None, None) as socket:
        await authenticate(socket, token_of(rig, acme))
        await subscribe(rig, socket)

        await speak(rig, rig.tenant("Globex"), uuid4())
        await speak(rig, acme, lamp)

        assert (await hear(socket))["device_id"] == str(lamp)


async def test_cookie_without_an_origin_counts_for_nothing(
    rig: Rig, url: str, alice: Browser
) -> None:
    async with watching(url, alice, None) as socket:
        await socket.send(ALL)

        assert await close_code(socket) == 4400


async def test_token_in_the_url_counts_for_nothing(rig: Rig, url: str, acme: UUID) -> None:
    token = token_of(rig, acme)
    async with watching(f"{url}?token={token}&access_token={token}", None, None) as socket:
        await socket.send(ALL)

        assert await close_code(socket) == 4400


async def test_page_of_another_origin_gets_nowhere_with_a_token(
    rig: Rig, url: str, acme: UUID
) -> None:
    async with watching(url, None, "https://evil.example") as socket:
        assert await close_code(socket) == 4403


async def test_client_that_says_nothing_is_not_kept(url: str) -> None:
    async with watching(url, None, None) as socket:
        assert await close_code(socket) == 4408


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        b"\x00binary",
        '{"type": "authenticate"}',
        '{"type": "authenticate", "token": 1}',
        '{"type": "authenticate", "token": "a", "tenant": "globex"}',
        json.dumps({"type": "authenticate", "token": "a" * 20_000}),
        "[" * 10_000,
    ],
    ids=lambda text: str(text)[:40],
)
async def test_first_message_of_another_shape_closes(url: str, text: str | bytes) -> None:
    async with watching(url, None, None) as socket:
        await socket.send(text)

        assert await close_code(socket) == 4400


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"typ": "ID"}, "type"),
        ({"iat": 1, "exp": 2}, "expired"),
        ({"azp": "other"}, "authorized_party"),
    ],
)
async def test_refused_token_leaves_one_row_with_the_address_and_the_program(
    rig: Rig, url: str, acme: UUID, change: dict[str, object], reason: str
) -> None:
    address = f"2001:db8::{uuid4().hex[:4].lstrip('0') or '1'}"
    token = str(ISSUER.token(**{**claims_of(acme, "customer"), **change}))
    async with watching(url, None, None, **{"x-forwarded-for": address}) as socket:
        await authenticate(socket, token)

        assert await close_code(socket) == 4401

    [(action, outcome, found, program)] = rig.superuser.execute(
        "SELECT action, outcome, reason, user_agent FROM audit_log WHERE address = %s",
        [address],
    ).fetchall()
    assert (action, outcome, found) == ("credentials.refuse", "denied", reason)
    assert "websockets" in program


@pytest.mark.parametrize("kind", ["forged", "expired", "operator", "id token", "suspended"])
async def test_token_that_is_not_good_closes(rig: Rig, url: str, acme: UUID, kind: str) -> None:
    tokens = {
        "forged": token_of(rig, acme)[:-8] + "AAAAAAAA",
        "expired": token_of(rig, acme, seconds=-1),
        "operator": str(ISSUER.token(realm_access={"roles": ["operator"]}, tenant_id=None)),
        "id token": token_of(rig, acme, typ="ID"),
        "suspended": token_of(rig, acme),
    }
    if kind == "suspended":
        rig.superuser.execute(
            "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme]
        )

    async with watching(url, None, None) as socket:
        await authenticate(socket, tokens[kind])

        assert await close_code(socket) == 4401


async def test_view_ends_when_its_token_does(rig: Rig, url: str, acme: UUID) -> None:
    async with watching(url, None, None) as socket:
        await authenticate(socket, token_of(rig, acme, seconds=60))
        await subscribe(rig, socket)
        rig.pass_time(seconds=59)
        await asyncio.sleep(0.3)
        await speak(rig, acme, uuid4())
        assert await hear(socket)

        rig.pass_time(seconds=1)

        assert await close_code(socket) == 4401
        assert socket.close_reason == EXPIRED


async def test_suspension_ends_a_view_by_token(rig: Rig, url: str, acme: UUID) -> None:
    async with watching(url, None, None) as socket:
        await authenticate(socket, token_of(rig, acme))
        await subscribe(rig, socket)

        rig.superuser.execute(
            "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme]
        )

        assert await close_code(socket) == 4401


@pytest.fixture
async def full(rig: Rig, url: str, acme: UUID) -> AsyncIterator[list[ClientConnection]]:
    """Open as many views as one person may have."""
    token = token_of(rig, acme, sub="greedy")
    async with AsyncExitStack() as stack:
        sockets = []
        for _ in range(3):
            socket = await stack.enter_async_context(watching(url, None, None))
            await authenticate(socket, token)
            await subscribe(rig, socket)
            sockets.append(socket)
        yield sockets


async def test_one_person_may_have_so_many_views_and_no_more(
    rig: Rig, url: str, acme: UUID, full: list[ClientConnection]
) -> None:
    async with watching(url, None, None) as one_more, watching(url, None, None) as colleague:
        await authenticate(one_more, token_of(rig, acme, sub="greedy"))
        await authenticate(colleague, token_of(rig, acme, sub="modest"))
        await subscribe(rig, colleague)

        assert await close_code(one_more) == 4429
        await speak(rig, acme, uuid4())
        for socket in (*full, colleague):
            assert await hear(socket)


async def test_view_that_ends_makes_room(
    rig: Rig, url: str, acme: UUID, full: list[ClientConnection]
) -> None:
    await full[0].close()
    lamp = uuid4()

    await until(lambda: sum(len(a.watchers) for a in rig.hub._audiences.values()) == 2)

    async with watching(url, None, None) as again:
        await authenticate(again, token_of(rig, acme, sub="greedy"))
        await subscribe(rig, again)
        await speak(rig, acme, lamp)

        assert (await hear(again))["device_id"] == str(lamp)
