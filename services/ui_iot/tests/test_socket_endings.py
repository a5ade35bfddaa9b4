from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.viewer import close_code, hear, speak, subscribe, until, watching

from ui_iot.sessions import IDLE_LIFE

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Browser, Rig
    from tests.parts import Nats

pytestmark = pytest.mark.anyio


async def test_subscribed_socket_stays_open(rig: Rig, url: str, alice: Browser, acme: UUID) -> None:
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)
        await asyncio.sleep(
            0.5
        )  # longer than a subscription may take, and several looks at the session
        await speak(rig, acme, uuid4())

        assert await hear(socket)


async def test_log_out_closes_an_open_view(rig: Rig, url: str, alice: Browser) -> None:
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)

        await alice.submit("/auth/logout")

        assert await close_code(socket) == 4401


async def test_open_view_does_not_keep_a_session_from_idling_out(
    rig: Rig, url: str, alice: Browser
) -> None:
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)
        rig.now += IDLE_LIFE
        await asyncio.sleep(0.3)
        rig.pass_time(seconds=1)

        assert await close_code(socket) == 4401


async def test_suspension_closes_an_open_view(
    rig: Rig, url: str, alice: Browser, acme: UUID
) -> None:
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)

        rig.superuser.execute(
            "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme]
        )

        assert await close_code(socket) == 4401


async def test_ended_at_the_provider_closes_an_open_view(
    rig: Rig, url: str, alice: Browser
) -> None:
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)
        rig.provider.mood = "refusing"

        rig.pass_time(minutes=5)

        assert await close_code(socket) == 4401


async def test_absent_provider_closes_no_open_view(
    rig: Rig, url: str, alice: Browser, acme: UUID
) -> None:
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)
        rig.provider.mood = "away"
        rig.pass_time(minutes=5)
        await asyncio.sleep(0.3)
        await speak(rig, acme, uuid4())

        assert await hear(socket)


async def test_absent_provider_lets_a_new_view_try_again(
    rig: Rig, url: str, alice: Browser
) -> None:
    rig.provider.mood = "away"
    rig.pass_time(minutes=5)

    async with watching(url, alice) as socket:
        assert await close_code(socket) == 1013


async def test_view_outlives_a_restart_of_the_bus(
    rig: Rig, url: str, alice: Browser, acme: UUID, nats_server: Nats
) -> None:
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)
        nats_server.kill()
        await asyncio.sleep(0.2)
        nats_server.start()
        lamp = uuid4()

        async with asyncio.timeout(10):
            heard = asyncio.create_task(hear(socket))
            while not heard.done():
                await speak(rig, acme, lamp)
                await asyncio.sleep(0.1)

        assert (await heard)["device_id"] == str(lamp)


async def test_nothing_stays_subscribed_when_all_browsers_have_gone(
    rig: Rig, url: str, alice: Browser
) -> None:
    before = subscriptions(rig)
    async with watching(url, alice) as socket:
        await subscribe(rig, socket)
        assert subscriptions(rig) == before + 1

    await until(lambda: subscriptions(rig) == before)


def subscriptions(rig: Rig) -> int:
    return len(rig.bus._nc._subs)
