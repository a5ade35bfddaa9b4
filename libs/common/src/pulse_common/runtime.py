"""From settings to a serving process and back: start, drain, stop.

A service is ``runtime.main(name, Settings, start)``; ``start(settings, runtime)`` wires real parts and returns the
application.  On SIGTERM readiness turns red, requests in flight finish, background work is cancelled, parts close in
the reverse order of their making.  A background task that dies takes the service down: a supervisor restarts it whole.
"""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
import uvicorn

from pulse_common import logs, settings
from pulse_common.health import Readiness

if TYPE_CHECKING:
    from collections.abc import Generator

    from starlette.types import ASGIApp

log = structlog.get_logger(__name__)

EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h
DRAIN_SECONDS = 10
CANCEL_AGAIN_SECONDS = 0.5
GARBAGE_EVERY = 50_000
"""Python's own is 700 objects, which a few messages make: looking for cycles then takes a sixth of the time."""

S = TypeVar("S", bound=settings.ServiceSettings)


class Runtime:
    """What a service may hang itself on while it starts."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self.stack = stack
        self.readiness = Readiness()
        self.stopping = asyncio.Event()
        self.failed = False

    def spawn(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        """Run ``work`` until the service stops; when it ends by itself, the service ends."""
        task = asyncio.create_task(work, name=name)
        task.add_done_callback(self._ended)
        self.stack.push_async_callback(_cancel, task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or self.stopping.is_set():
            return
        self.failed = True
        log.error("background_work_ended", task=task.get_name(), exc_info=task.exception())
        self.stopping.set()


Start = Callable[[S, Runtime], Awaitable["ASGIApp"]]


def main(name: str, kind: type[S], start: Start[S], *, websockets: bool = False) -> None:
    """Run one service until it is told to stop; never returns normally.

    Only a service whose package brings ``websockets`` may take them.
    """
    try:
        loaded = settings.load(kind)
    except settings.SettingsError as error:
        print(f"{name} cannot start: {error}", file=sys.stderr)  # noqa: T201 -- logs are not set up yet
        sys.exit(EXIT_CONFIG)
    logs.configure(name, loaded.log_level)
    sys.exit(asyncio.run(_serve(name, loaded, start, websockets=websockets)))


async def _serve(name: str, loaded: S, start: Start[S], *, websockets: bool) -> int:
    async with AsyncExitStack() as stack:
        runtime = Runtime(stack)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, runtime.stopping.set)
        app = await start(loaded, runtime)
        _settle_garbage()
        config = server_config(app, loaded.http_host, loaded.http_port, websockets=websockets)
        server = _Server(config)
        serving = asyncio.create_task(server.serve())
        log.info("service_started", port=loaded.http_port)
        await asyncio.wait(
            [serving, asyncio.create_task(runtime.stopping.wait())],
            return_when=asyncio.FIRST_COMPLETED,
        )
        runtime.failed = runtime.failed or serving.done()
        runtime.stopping.set()
        runtime.readiness.draining = True
        server.should_exit = True
        await serving
    log.info("service_stopped", service=name)
    return 1 if runtime.failed else 0


def _settle_garbage() -> None:
    """Leave what the start has made, modules above all, out of every later search for garbage."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_EVERY, *gc.get_threshold()[1:])


def server_config(
    app: ASGIApp, host: str, port: int, *, websockets: bool = False
) -> uvicorn.Config:
    """Say how every service listens: behind Caddy, which keeps what uvicorn lacks (docs/operations/edge.md)."""
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        # Not httptools, which limits no header (uvicorn would choose it wherever it is installed).
        http="h11",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        lifespan="off",
        timeout_graceful_shutdown=DRAIN_SECONDS,
        timeout_keep_alive=75,
        h11_max_incomplete_event_size=64 * 1024,
        ws="websockets-sansio" if websockets else "none",
        ws_max_size=64 * 1024,
    )


class _Server(uvicorn.Server):
    """Leaves signals to us: uvicorn's own handling would end the process before the parts are closed."""

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


async def _cancel(task: asyncio.Task[None]) -> None:
    """Cancel until it ends: before Python 3.12 one is lost when what the task waits for ends in the same moment.

    asyncio.wait_for then returns the result and forgets the cancellation (CPython issue 86296); nats-py fetches by it.
    """
    while not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=CANCEL_AGAIN_SECONDS)
