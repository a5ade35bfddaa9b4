from __future__ import annotations

import asyncio
import json
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.rig import PUBLIC_URL, Browser, Rig
from services.ui_iot.tests.viewer import close_code, hear, speak, subscribe, watching

from ui_iot import cookies

pytestmark = pytest.mark.anyio


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
        (None, {"sec-fetch-site": "cross-site"}),
        (None, {"sec-fetch-site": "same-origin"}),
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
