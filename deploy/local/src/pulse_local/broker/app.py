"""Builds the broker from its parts and runs it until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog
import uvicorn

from pulse_local.broker.admission import Admission
from pulse_local.broker.api import build_api
from pulse_local.broker.callout import Callout
from pulse_local.broker.clients import Clients
from pulse_local.broker.listener import DevelopmentBroker

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from starlette.applications import Starlette

    from pulse_local.broker.settings import Settings

log = structlog.get_logger(__name__)
API_CHECK_SECONDS = 0.02


class ApiServer(uvicorn.Server):
    """Leaves the signals to this program: uvicorn would end the process before the broker."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None]:
        yield


def api_server(app: Starlette, port: int) -> ApiServer:
    return ApiServer(
        uvicorn.Config(
            app,
            host="127.0.0.1",
            port=port,
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=2,
        )
    )


async def run(
    settings: Settings,
    stop: asyncio.Event,
    ready: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.time,
) -> None:
    clients = Clients(clock)
    server = api_server(
        build_api(clients, key=settings.api_key, secret=settings.api_secret), settings.api_port
    )
    async with Callout(secret=settings.auth_secret) as callout:
        admission = Admission(
            callout=callout,
            bans=clients.bans,
            auth_url=settings.auth_url,
            acl_url=settings.acl_url,
            denied_url=settings.denied_url,
            clock=clock,
        )
        broker = DevelopmentBroker(settings=settings, clients=clients, admission=admission)
        # The listeners first: the management API answering means that devices may come.
        await broker.start()
        serving = asyncio.create_task(server.serve())
        try:
            await started(server, serving)
            log.info("broker_ready", tls=settings.tls_port, plain=settings.plain_port)
            ready()
            await stop.wait()
        finally:
            server.should_exit = True
            await broker.shutdown()
            await serving
            log.info("broker_stopped")


async def started(server: ApiServer, serving: asyncio.Task[None]) -> None:
    while not server.started:
        if serving.done():
            await serving
            raise RuntimeError("the management API did not start: is its port taken?")
        await asyncio.sleep(API_CHECK_SECONDS)
