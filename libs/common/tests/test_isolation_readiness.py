"""A service's /readyz, asked over HTTP, turns red when a policy is broken under it, and green when it is mended."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx2
import psycopg
import pytest
import uvicorn
from tests.parts import ROOT, free_port

from pulse_common import health, isolation, migrations
from pulse_common.errors import Unauthenticated
from pulse_common.http import build_app
from pulse_common.runtime import Runtime, server_config
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request
    from tests.parts import Postgres

    from pulse_common.identity import Principal

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_copy(postgres: Postgres) -> Iterator[psycopg.Connection]:
    name = f"readiness_{uuid4().hex}"
    with psycopg.connect(postgres.superuser.replace("/pulse", "/postgres"), autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name}")
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


async def _nobody(_: Request) -> Principal:
    raise Unauthenticated("nobody signs in here")


@pytest.fixture
async def ready_url(postgres: Postgres, own_copy: psycopg.Connection) -> AsyncIterator[str]:
    """Serve what every service serves, with the watch that ``parts.open_database`` hangs on it, but a quicker one."""
    async with AsyncExitStack() as stack:
        runtime = Runtime(stack)
        url = postgres.url("svc_ui_iot").replace("/pulse", f"/{own_copy.info.dbname}")
        database = Database(url, name="test", max_connections=2)
        await database.open()
        stack.push_async_callback(database.close)
        watch = isolation.Watch(database, every_seconds=0.05)
        runtime.readiness.add("database test", watch.check)
        runtime.spawn("isolation test", watch.run())
        port = free_port()
        app = build_app(health.endpoints(runtime.readiness), _nobody)
        server = uvicorn.Server(server_config(app, "127.0.0.1", port))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 -- uvicorn tells it no other way
            await asyncio.sleep(0.01)
        yield f"http://127.0.0.1:{port}/readyz"
        server.should_exit = True
        await serving


async def answered(url: str, status: int) -> httpx2.Response:
    async with httpx2.AsyncClient() as client, asyncio.timeout(10):
        while (answer := await client.get(url)).status_code != status:  # noqa: ASYNC110 -- as a prober asks
            await asyncio.sleep(0.02)
        return answer


async def test_readyz_turns_red_on_a_violation_and_green_after_it(
    ready_url: str, own_copy: psycopg.Connection
) -> None:
    await answered(ready_url, 200)

    own_copy.execute("ALTER TABLE devices NO FORCE ROW LEVEL SECURITY")
    red = await answered(ready_url, 503)
    own_copy.execute("ALTER TABLE devices FORCE ROW LEVEL SECURITY")

    assert red.json() == {"status": "not ready", "failing": ["database test"]}
    await answered(ready_url, 200)
