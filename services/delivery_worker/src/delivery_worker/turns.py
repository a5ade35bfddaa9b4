"""What one replica does at a time: a turn is taken for some seconds in the database and renewed while it is held.

Routing is such a turn, since two routers could put a device's messages into a lane in another order.  A replica that is
killed keeps its turn for six seconds more; one that stops in order gives it back.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import structlog

from delivery_worker import room_store
from delivery_worker.lane import end
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

TURN_SECONDS = 6.0
RENEW_SECONDS = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    db: Database
    holder: UUID = field(default_factory=uuid4)

    async def run(self, name: str, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Do ``work``, which never ends, whenever it is our turn; for ever."""
        while True:
            began = time.monotonic()
            if await self._take(name):
                log.info("turn_taken", name=name)
                await self._hold(name, work, began + TURN_SECONDS)
            await asyncio.sleep(RENEW_SECONDS)

    async def _hold(
        self, name: str, work: Callable[[], Coroutine[None, None, None]], until: float
    ) -> None:
        task = asyncio.create_task(work())
        try:
            # Over well before another replica may begin: what is under way then has to end.
            while time.monotonic() < until - RENEW_SECONDS:
                done, _ = await asyncio.wait([task], timeout=RENEW_SECONDS)
                if done:
                    task.result()
                began = time.monotonic()
                taken = await self._take(name)
                if taken is False:
                    break
                if taken:
                    until = began + TURN_SECONDS
            log.warning("turn_lost", name=name)
        finally:
            await _whole(self._give_back(name, task))

    async def _give_back(self, name: str, task: asyncio.Task[None]) -> None:
        """End the work, and only then the turn."""
        await end([task])
        with contextlib.suppress(Unavailable):
            async with self.db.service_connection("pulse_delivery") as tx:
                await room_store.end_turn(tx, name, self.holder)

    async def _take(self, name: str) -> bool | None:
        """Take or keep the turn; None when the database is away."""
        try:
            async with (
                asyncio.timeout(RENEW_SECONDS),
                self.db.service_connection("pulse_delivery") as tx,
            ):
                return await room_store.take_turn(tx, name, self.holder, TURN_SECONDS)
        except (Unavailable, TimeoutError) as error:
            log.warning("turn_waits", name=name, reason=repr(error))
            return None


async def _whole(closing: Coroutine[None, None, None]) -> None:
    """Finish, whoever cancels meanwhile: an orderly stop that is hurried would cost the next one six seconds."""
    task, cancelled = asyncio.create_task(closing), False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
