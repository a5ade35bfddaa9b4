"""The gate's own adapter, which was written for EMQX, does all of its work on this broker too."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from mqtt_authz.broker import EmqxAdapter, Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import pytest

    from pulse_local.broker.testing.rig import Rig

DEVICE = uuid4()
STATE = f"tenant/t/device/{DEVICE}/state"


def on(rig: Rig, work: Callable[[EmqxAdapter], Awaitable[None]]) -> None:
    async def run() -> None:
        settings = rig.settings
        url = f"http://127.0.0.1:{settings.api_port}"
        adapter = EmqxAdapter.to(url, settings.api_key, settings.api_secret)
        try:
            await work(adapter)
        finally:
            await adapter.close()

    asyncio.run(run())


async def sessions(adapter: EmqxAdapter) -> list[Session]:
    return [session async for page in adapter.sessions() for session in page]


async def bans(adapter: EmqxAdapter) -> list[UUID]:
    return [device async for page in adapter.bans() for device in page]


def test_device_is_silenced_in_order_and_its_will_never_leaves(open_rig: Rig) -> None:
    watcher = open_rig.peer("watcher")
    watcher.connect()
    watcher.subscribe("wills/#")
    device = open_rig.peer(str(DEVICE))
    device.client.will_set("wills/x", "gone", 1)
    device.connect()
    device.publish_and_wait(STATE, "on", retain=True)

    async def work(adapter: EmqxAdapter) -> None:
        assert await adapter.has_session(DEVICE)
        for _ in range(2):  # each act may be repeated
            await adapter.ban(DEVICE, "test")
            await adapter.drop_authorization_cache(DEVICE)
            await adapter.kick(DEVICE)
            await adapter.purge_retained([STATE])
        assert not await adapter.has_session(DEVICE)
        assert await bans(adapter) == [DEVICE]
        assert await adapter.unban(DEVICE)
        assert not await adapter.unban(DEVICE)
        assert await bans(adapter) == []

    on(open_rig, work)

    assert device.is_closed()
    assert watcher.receive_all() == []
    watcher.subscribe("tenant/#")
    assert watcher.receive_all() == []


def test_sessions_are_listed_with_what_the_gate_said_of_them(rig: Rig) -> None:
    attributes = {"tenant": "t", "serial": "0a"}
    rig.authz.answer_authentication({"result": "allow", "client_attrs": attributes})
    rig.peer(str(DEVICE)).connect()
    rig.authz.answer_authentication({"result": "allow"})
    other = uuid4()
    for name in (str(other), "ingest-1", str(uuid4()).upper()):
        rig.peer(name).connect()

    async def work(adapter: EmqxAdapter) -> None:
        found = await sessions(adapter)
        assert set(found) == {Session(DEVICE, "0a"), Session(other, "")}

    on(rig, work)


def test_lists_go_on_over_many_pages(open_rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mqtt_authz.broker.PAGE", 2)
    devices = {uuid4() for _ in range(5)}
    for device in devices:
        open_rig.peer(str(device)).connect()

    async def work(adapter: EmqxAdapter) -> None:
        assert {session.device for session in await sessions(adapter)} >= devices
        for device in devices:
            await adapter.ban(device, "test")
        assert set(await bans(adapter)) >= devices
        for device in devices:
            await adapter.unban(device)

    on(open_rig, work)
