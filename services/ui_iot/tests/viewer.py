"""A browser's live view: a real WebSocket to a real server, and what it hears."""

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

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

ALL = json.dumps({"type": "subscribe", "devices": "all"})


async def until(met: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not met():  # noqa: ASYNC110 -- neither uvicorn nor the bus has an event for it
            await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(rig: Rig) -> AsyncIterator[str]:
    """Serve the application as the runtime does, so that real sockets reach it."""
    config = uvicorn.Config(
        rig.app, port=0, log_config=None, lifespan="off", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    running = asyncio.create_task(server._serve())
    await until(lambda: server.started)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"ws://127.0.0.1:{port}/api/v2/ws"
    server.should_exit = True
    await running


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
