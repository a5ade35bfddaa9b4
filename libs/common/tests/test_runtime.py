"""A service's end: its background work ends with it, whatever that work was waiting for."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import pytest

from pulse_common.runtime import Runtime

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
