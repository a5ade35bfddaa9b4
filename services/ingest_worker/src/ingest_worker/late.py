"""Readings that wait: what was over a limit, and what devices send of the time before they came back.

Both lanes end in TELEMETRY, from where everything goes on as for any other reading.  Each has a pace of its own, so
that neither is in the way of what is live; the overflow takes from its tenant's buckets when these have room again.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from pydantic import ValidationError

from pulse_common.consume import Consumer, consume_batches
from pulse_common.events import STREAM_LATE, Reading, telemetry_subject
from pulse_common.messaging import Done, Later, Message, Never, Outcome

if TYPE_CHECKING:
    from ingest_worker.buckets import Buckets
    from ingest_worker.plans import Plans
    from pulse_common.bus import Bus

BACKFILL_A_SECOND = 500
"""Of a replica, for all tenants together."""
WAIT_SECONDS = 2.0
OVERFLOW = Consumer(
    stream=STREAM_LATE,
    name="ingest_overflow",
    subjects=["pulse.late.overflow.*"],
    batch=100,
    fetch_seconds=1.0,
    max_ack_pending=20_000,  # what must wait for its tenant's bucket is not in the way of other tenants'
)
BACKFILL = Consumer(
    stream=STREAM_LATE,
    name="ingest_backfill",
    subjects=["pulse.late.backfill.*"],
    batch=50,
    fetch_seconds=1.0,
)


class Late:
    def __init__(self, bus: Bus, buckets: Buckets, plans: Plans) -> None:
        self._bus = bus
        self._buckets = buckets
        self._plans = plans

    async def run_overflow(self) -> None:
        await consume_batches(self._bus, OVERFLOW, self.drain_overflow)

    async def run_backfill(self) -> None:
        await consume_batches(self._bus, BACKFILL, self.drain_backfill)

    async def drain_overflow(self, messages: list[Message]) -> list[Outcome]:
        return list(await asyncio.gather(*(self._drain(message) for message in messages)))

    async def drain_backfill(self, messages: list[Message]) -> list[Outcome]:
        """Pass on at most 500 a second."""
        started = time.monotonic()
        outcomes = list(await asyncio.gather(*(self._pass_on(message) for message in messages)))
        took = time.monotonic() - started
        await asyncio.sleep(max(0.0, len(messages) / BACKFILL_A_SECOND - took))
        return outcomes

    async def _drain(self, message: Message) -> Outcome:
        reading = _parse(message)
        if reading is None:
            return Never("not a reading")
        plan = self._plans.of(reading.tenant_id)
        over = self._buckets.take_late(reading.tenant_id, plan, now=time.monotonic())
        if over is not None:
            return Later(max(WAIT_SECONDS, min(60.0, over.refill_seconds)), "over the limit still")
        return await self._pass_on(message)

    async def _pass_on(self, message: Message) -> Outcome:
        reading = _parse(message)
        if reading is None:
            return Never("not a reading")
        subject = telemetry_subject(reading.tenant_id, reading.device_id)
        await self._bus.publish_stored(subject, message.data, message_id=str(reading.message_id))
        return Done()


def _parse(message: Message) -> Reading | None:
    try:
        return Reading.model_validate_json(message.data)
    except ValidationError:
        return None
