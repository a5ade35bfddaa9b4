"""How fast one ui_iot process hands 10 readings a second to 1,000 live views, beside a bare Starlette fan-out.

Both run in a process of their own, one after the other, with the same clients and the same messages.  ui_iot's part is
the real socket and hub; who calls and what arrives on the bus are stand-ins, which is not what is measured.

Fails below 0.95 of the bare fan-out's deliveries.  Not named websockets.py: that would hide the package.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import socket
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import psutil
import uvicorn
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import ClientConnection, connect

from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.identity import TenantId
from ui_iot.live import Hub
from ui_iot.notices import Notices
from ui_iot.socket import LiveSocket, Pace
from ui_iot.watching import Seats, Visitor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pulse_common.bus import Bus
    from ui_iot.watching import Watching

LEAST_RATIO = 0.95
SOCKETS = 1000
PER_SECOND = 10
SECONDS = 10
TENANT = TenantId(uuid4())
SUBSCRIBE = json.dumps({"type": "subscribe", "devices": "all"})


class OwnBus:
    """Delivers in this process what the benchmark publishes."""

    def __init__(self) -> None:
        self.handlers: dict[str, Callable[[str, bytes], Awaitable[None]]] = {}

    async def subscribe_live(
        self, subject: str, handler: Callable[[str, bytes], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        self.handlers[subject] = handler

        async def stop() -> None:
            del self.handlers[subject]

        return stop


@dataclass(frozen=True)
class Anybody:
    """Lets everybody in, each as a person of their own."""

    async def admit(self, _: WebSocket, __: float) -> Visitor:
        async def again() -> Visitor:
            return visitor

        visitor = Visitor(
            tenant=TENANT, subject=str(uuid4()), again=again, seconds_left=lambda: 3600.0
        )
        return visitor


def reading() -> bytes:
    """Make a reading that says when it was sent."""
    now = system_clock()
    made = events.Reading(
        tenant_id=TENANT,
        device_id=DEVICE,
        message_id=uuid4(),
        ts=now,
        received_at=now,
        metrics={"sent": time.monotonic(), "load": 0.5},
    )
    return made.to_bytes()


DEVICE = uuid4()


def ours() -> tuple[Starlette, Callable[[], Awaitable[None]]]:
    bus = OwnBus()
    hub = Hub(cast("Bus", bus), system_clock)
    live = LiveSocket(
        hub=hub,
        watching=cast("Watching", Anybody()),
        seats=Seats(1),
        notices=Notices(cast("Bus", bus)),
        pace=Pace(),
    )

    async def publish() -> None:
        handler = bus.handlers.get(events.live_subject(TENANT))
        if handler:
            await handler(events.live_subject(TENANT), reading())

    return Starlette(routes=[WebSocketRoute("/", live.serve)]), publish


def bare() -> tuple[Starlette, Callable[[], Awaitable[None]]]:
    """Send each message to each socket, one after the other, and do nothing else."""
    watching: set[WebSocket] = set()

    async def serve(found: WebSocket) -> None:
        await found.accept()
        await found.receive_text()
        watching.add(found)
        try:
            await found.receive_text()
        except WebSocketDisconnect:
            watching.discard(found)

    async def publish() -> None:
        text = json.dumps({"type": "telemetry", **json.loads(reading())})
        for found in list(watching):
            await found.send_text(text)

    return Starlette(routes=[WebSocketRoute("/", serve)]), publish


def run_server(kind: str, port: int) -> None:
    app, publish = ours() if kind == "ui_iot" else bare()

    async def main() -> None:
        config = uvicorn.Config(
            app, port=port, log_config=None, lifespan="off", ws="websockets-sansio"
        )
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve())
        due = time.monotonic()
        while not running.done():
            due += 1 / PER_SECOND
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await publish()

    asyncio.run(main())


@dataclass(frozen=True, kw_only=True)
class Result:
    delivered_per_second: float
    p99_milliseconds: float
    kilobytes_per_socket: float
    processor_share: float


async def measure(port: int, pid: int) -> Result:
    server = psutil.Process(pid)
    empty = server.memory_info().rss
    delays: list[float] = []
    sockets = [await open_socket(port) for _ in range(SOCKETS)]
    memory = (server.memory_info().rss - empty) / SOCKETS / 1024
    for opened in sockets:
        await opened.send(SUBSCRIBE)
    hearing = [asyncio.create_task(hear(opened, delays)) for opened in sockets]
    await asyncio.sleep(2)  # everybody has subscribed, and hears
    delays.clear()
    used, started = sum(server.cpu_times()[:2]), time.monotonic()
    await asyncio.sleep(SECONDS)
    seconds = time.monotonic() - started
    used = sum(server.cpu_times()[:2]) - used
    taken = sorted(delays)
    for task in hearing:
        task.cancel()
    return Result(
        delivered_per_second=len(taken) / seconds,
        p99_milliseconds=taken[int(len(taken) * 0.99)] * 1000,
        kilobytes_per_socket=memory,
        processor_share=used / seconds,
    )


async def open_socket(port: int) -> ClientConnection:
    for _ in range(100):
        try:
            return await connect(f"ws://127.0.0.1:{port}/", compression=None, max_queue=64)
        except OSError:
            await asyncio.sleep(0.1)
    raise TimeoutError("the server does not listen")


async def hear(opened: ClientConnection, delays: list[float]) -> None:
    async for text in opened:
        message: dict[str, Any] = json.loads(text)
        if message["type"] == "telemetry":
            delays.append(time.monotonic() - message["metrics"]["sent"])


def run(kind: str) -> Result:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    process = multiprocessing.get_context("spawn").Process(target=run_server, args=(kind, port))
    process.start()
    try:
        assert process.pid is not None
        result = asyncio.run(measure(port, process.pid))
    finally:
        process.kill()
        process.join()
    print(
        f"{kind:10} {result.delivered_per_second:7.0f} delivered/s   p99 {result.p99_milliseconds:6.1f} ms   "
        f"{result.kilobytes_per_socket:5.1f} KiB a socket   {result.processor_share:4.0%} of a core"
    )
    return result


def main() -> int:
    mine, plain = run("ui_iot"), run("starlette")
    ratio = mine.delivered_per_second / plain.delivered_per_second
    work = plain.processor_share / mine.processor_share
    print(
        f"delivered, ui_iot to starlette: {ratio:.2f}; processor time, starlette to ui_iot: {work:.2f}"
    )
    return 0 if ratio >= LEAST_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
