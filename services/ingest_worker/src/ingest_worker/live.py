"""Readings for whoever watches now: each at once while there are few, under load each device's newest only."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from ingest_worker import metrics
from pulse_common.events import live_subject

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.events import Reading

AT_ONCE_A_SECOND = 200
"""Of one tenant; more a browser could not draw."""
PAUSE_SECONDS = 0.25


class Live:
    """Lossy by nature: what is replaced here is in the database all the same."""

    def __init__(self, bus: Bus, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._bus = bus
        self._monotonic = monotonic
        self._second = 0
        self._shown: dict[UUID, int] = {}
        self._newest: dict[tuple[UUID, UUID], Reading] = {}

    async def show(self, reading: Reading, data: bytes) -> None:
        second = int(self._monotonic())
        if second != self._second:
            self._second = second
            self._shown.clear()
        shown = self._shown.get(reading.tenant_id, 0)
        key = (reading.tenant_id, reading.device_id)
        if shown < AT_ONCE_A_SECOND and key not in self._newest:
            self._shown[reading.tenant_id] = shown + 1
            await self._bus.publish_live(live_subject(reading.tenant_id), data)
            return
        waiting = self._newest.get(key)
        if waiting is not None:
            metrics.COALESCED.inc()
        if waiting is None or reading.ts >= waiting.ts:
            self._newest[key] = reading

    async def flush(self) -> None:
        newest, self._newest = self._newest, {}
        for reading in newest.values():
            await self._bus.publish_live(live_subject(reading.tenant_id), reading.to_bytes())

    async def run(self) -> None:
        """Show what waits, for ever."""
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            await self.flush()
