from __future__ import annotations

import asyncio
import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
import uvicorn
from services.ui_iot.tests.rig import PUBLIC_URL, Browser, Rig
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from pulse_common import events
from ui_iot import cookies
from ui_iot.sessions import IDLE_LIFE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.parts import Nats

pytestmark = pytest.mark.anyio

ALL = json.dumps({"type": "subscribe", "devices": "all"})


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not met():  # noqa: ASYNC110 -- neither uvicorn nor the bus has an event for it
            await asyncio.sleep(0.01)


@pytest.fixture
async def url(rig: Rig) -> AsyncIterator[str]:
    """Serve the application as the runtime does, so that real sockets reach it."""
    config = uvicorn.Config(
        rig.app, port=0, log_config=None, lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"ws://127.0.0.1:{port}/api/v2/ws"
    server.should_exit = True
    await serving


@asynccontextmanager
async def watching(
    url: str, browser: Browser | None, origin: str | None = PUBLIC_URL, **headers: str
) -> AsyncIterator[ClientConnection]:
    cookie = {"cookie": f"{cookies.SESSION}={browser.session}"} if browser else {}
    async with connect(url, origin=origin, additional_headers={**cookie, **headers}) as socket:  # type: ignore[arg-type]
        yield socket


async def close_code(socket: ClientConnection) -> int:
    """Read until the server closes, and return its code."""
    with pytest.raises(ConnectionClosed) as closed:
        async with asyncio.timeout(5):
            while True:
                await socket.recv()
    assert closed.value.rcvd is not None
    return closed.value.rcvd.code


async def speak(rig: Rig, tenant: UUID, device: UUID) -> None:
    reading = events.Reading(
        tenant_id=tenant,
        device_id=device,
        message_id=uuid4(),
        ts=rig.now,
        received_at=rig.now,
        metrics={"load": 0.5},
    )
    await rig.bus.publish_live(events.live_subject(tenant), reading.to_bytes())


async def hear(socket: ClientConnection, kind: str = "telemetry") -> dict[str, Any]:
    async with asyncio.timeout(5):
        while True:
            message: dict[str, Any] = json.loads(await socket.recv())
            if message["type"] == kind:
                return message


async def subscribe(rig: Rig, socket: ClientConnection, wanted: str = ALL) -> None:
    """Subscribe and wait until the bus knows: what is published from now on arrives."""
    await socket.send(wanted)
    await asyncio.sleep(0.05)
    await rig.bus.check()


async def test_readings_of_the_own_tenant_arrive_and_no_others(
    rig: Rig, url: str, alice: Browser, acme: UUID
) -> None:
    globex = rig.tenant("Globex")
    mallory = await rig.person(globex)
    async with watching(url, alice) as own, watching(url, mallory) as theirs:
        await subscribe(rig, own)
        await subscribe(rig, theirs)
        lamp, reactor = uuid4(), uuid4()

        await speak(rig, acme, lamp)
        await speak(rig, globex, reactor)

        assert (await hear(own))["device_id"] == str(lamp)
        assert (await hear(theirs))["device_id"] == str(reactor)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await hear(own)


async def test_naming_another_tenants_device_brings_nothing(
    rig: Rig, url: str, alice: Browser
) -> None:
    globex, reactor = rig.tenant("Globex"), uuid4()
    async with watching(url, alice) as socket:
        await subscribe(rig, socket, json.dumps({"type": "subscribe", "devices": [str(reactor)]}))

        await speak(rig, globex, reactor)

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await socket.recv()


async def test_subscription_can_be_changed(rig: Rig, url: str, alice: Browser, acme: UUID) -> None:
    lamp, pump = uuid4(), uuid4()
    async with watching(url, alice) as socket:
        for device in (lamp, pump):
            wanted = json.dumps({"type": "subscribe", "devices": [str(device)]})
            await subscribe(rig, socket, wanted)
            await speak(rig, acme, lamp)
            await speak(rig, acme, pump)

            assert (await hear(socket))["device_id"] == str(device)


@pytest.mark.parametrize(
    ("origin", "headers"),
    [
        (None, {}),
        ("https://evil.example", {}),
        ("null", {}),
        (f"{PUBLIC_URL}.evil.example", {}),
        (PUBLIC_URL, {"sec-fetch-site": "cross-site"}),
        (PUBLIC_URL, {"sec-fetch-site": "same-site"}),
    ],
)
async def test_another_origin_is_refused_though_it_brings_the_cookie(
    rig: Rig, url: str, alice: Browser, origin: str | None, headers: dict[str, str]
) -> None:
    async with watching(url, alice, origin, **headers) as socket:
        assert await close_code(socket) == 4403


async def test_without_a_session_it_closes_as_signed_out(rig: Rig, url: str) -> None:
    async with watching(url, None) as socket:
        assert await close_code(socket) == 4401


async def test_forged_cookie_closes_as_signed_out(rig: Rig, url: str) -> None:
    async with watching(url, None, cookie=f"{cookies.SESSION}=forged") as socket:
        assert await close_code(socket) == 4401


async def test_person_without_a_tenant_that_works_is_refused(
    rig: Rig, url: str, alice: Browser, acme: UUID
) -> None:
    rig.superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme])

    async with watching(url, alice) as socket:
        assert await close_code(socket) == 4401


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "{}",
        "[]",
        "null",
        b"\x00binary",
        '{"type": "subscribe"}',
        '{"type": "subscribe", "devices": "some"}',
        '{"type": "subscribe", "devices": ["nonsense"]}',
        '{"type": "subscribe", "devices": [1]}',
        '{"type": "subscribe", "devices": "all", "tenant": "globex"}',
        '{"type": "publish", "devices": "all"}',
        json.dumps({"type": "subscribe", "devices": [str(UUID(int=1))] * 501}),
        "[" * 10_000,
    ],
    ids=lambda text: str(text)[:40],
)
async def test_nonsense_closes(rig: Rig, url: str, alice: Browser, text: str | bytes) -> None:
    async with watching(url, alice) as socket:
        await socket.send(text)

        assert await close_code(socket) == 4400


async def test_no_subscription_in_time_closes(rig: Rig, url: str, alice: Browser) -> None:
    async with watching(url, alice) as socket:
        assert await close_code(socket) == 4408


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
