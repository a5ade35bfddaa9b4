"""Asks the database for the standings of many at once: one question for a certificate, however many wait for it.

Whoever asks while loads are under way goes together in the next one, so that a herd becomes a few statements; and
while the database is away nobody waits for it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mqtt_authz import metrics
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from mqtt_authz.domain import Standing

RETRY_SECONDS = 1.0
"""While the database is away it is tried this often, and nobody waits for it in between."""
LOAD_SECONDS = 2.0
BATCH = 256
MOST_LOADS = 4


@dataclass(frozen=True, slots=True)
class Found:
    """What a load that began at generation ``began`` saw."""

    standing: Standing | None
    began: int


class Loading:
    """``began`` names the generation that a load begins in, so that what is invalidated meanwhile can be told."""

    def __init__(
        self,
        *,
        load: Callable[[Sequence[bytes]], Awaitable[dict[bytes, Standing]]],
        began: Callable[[], int],
        monotonic: Callable[[], float],
    ) -> None:
        self._load = load
        self._began = began
        self._monotonic = monotonic
        self._flights: dict[bytes, asyncio.Future[Found]] = {}
        self._waiting: list[bytes] = []
        self._loads: set[asyncio.Task[None]] = set()
        self._away_until = 0.0

    async def ask(self, fingerprint: bytes) -> Found:
        """Wait for the load that asks for this certificate.

        Raises:
            Unavailable: the database is away, or was a moment ago.
        """
        if self._monotonic() < self._away_until:
            raise Unavailable("the database was away a moment ago")
        flight = self._flights.get(fingerprint)
        if flight is None:
            flight = self._flights[fingerprint] = asyncio.get_running_loop().create_future()
            self._waiting.append(fingerprint)
            self._start()
        # One who gives up must not take the answer from the others.
        return await asyncio.shield(flight)

    def _start(self) -> None:
        """Begin a load unless enough are under way: those that wait meanwhile go together in the next one."""
        if self._waiting and len(self._loads) < MOST_LOADS:
            task = asyncio.create_task(self._run())
            self._loads.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._loads.discard(task)
        self._start()

    async def _run(self) -> None:
        await asyncio.sleep(0)  # whoever asks in the same turn of the loop comes along
        batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
        if not batch:
            return
        began = self._began()
        try:
            async with asyncio.timeout(LOAD_SECONDS):
                found = await self._load(batch)
        except (Unavailable, TimeoutError, asyncio.CancelledError) as error:
            self._away_until = self._monotonic() + RETRY_SECONDS
            self._fail(batch, Unavailable("the database is away"))
            if isinstance(error, asyncio.CancelledError):
                raise
        except Exception as error:  # noqa: BLE001 -- a bug: whoever waits must hear of it, and deny
            self._fail(batch, error)
        else:
            metrics.STANDINGS.labels("asked").inc(len(batch))
            for fingerprint in batch:
                flight = self._flights.pop(fingerprint)
                if not flight.done():
                    flight.set_result(Found(found.get(fingerprint), began))

    def _fail(self, batch: Sequence[bytes], error: Exception) -> None:
        for fingerprint in batch:
            flight = self._flights.pop(fingerprint)
            if not flight.done():
                flight.set_exception(error)
                flight.exception()  # seen: whoever asked may be gone
