"""A service's end: its background work ends with it, whatever that work was waiting for."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

import pytest
from starlette.applications import Starlette

from pulse_common.runtime import Runtime, server_config

pytestmark = pytest.mark.anyio


async def deaf_to_the_first_cancellation() -> None:
    """Behave as asyncio.wait_for before Python 3.12, when its result and a cancellation come at once."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        await asyncio.sleep(60)


async def test_work_that_missed_its_cancellation_is_cancelled_again() -> None:
    stack = AsyncExitStack()
    runtime = Runtime(stack)
    runtime.spawn("deaf", deaf_to_the_first_cancellation())
    await asyncio.sleep(0)

    async with asyncio.timeout(5):
        await stack.aclose()

    assert not runtime.failed


async def test_a_service_without_websockets_needs_no_package_for_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.startswith(("websockets", "uvicorn.proto"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "websockets", None)

    server_config(Starlette(), "127.0.0.1", 0).load()

    with pytest.raises(ImportError):
        server_config(Starlette(), "127.0.0.1", 0, websockets=True).load()
