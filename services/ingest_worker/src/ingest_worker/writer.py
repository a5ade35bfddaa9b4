"""From JetStream to PostgreSQL: a batch is one transaction, and is acknowledged after its commit.

A batch that is handed over again finds its rows there (the message id is in the key) and changes nothing.
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from ingest_worker import limit_store, metrics, retention_store, store
from ingest_worker.payload import is_storable
from pulse_common.consume import Consumer, consume_batches
from pulse_common.events import STREAM_TELEMETRY, Reading, RefusedMessage
from pulse_common.messaging import Done, Message, Never, Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

CONSUMER = Consumer(
    stream=STREAM_TELEMETRY,
    name="ingest_writer",
    subjects=["pulse.telemetry.>"],
    batch=500,
    # A fetch that is not filled lasts this long, so it bounds how late a lone reading is stored.
    fetch_seconds=0.5,
    # How long the readings of a killed replica wait for another.  Too short only costs work: storing is idempotent.
    ack_wait_seconds=15,
    max_ack_pending=2000,
)
AT_A_TIME = 2
DAY_SECONDS = 86_400
RETRY_SECONDS = 600


class Writer:
    """``judge`` sees what was stored before it is acknowledged."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        judge: Callable[[list[Reading]], Awaitable[None]] | None = None,
    ) -> None:
        self._database = database
        self._clock = clock
        self._judge = judge

    async def run(self, bus: Bus) -> None:
        """Store for ever; while one batch is PostgreSQL's to work on, the other is ours."""
        await asyncio.gather(
            *(consume_batches(bus, CONSUMER, self.store_batch) for _ in range(AT_A_TIME))
        )

    async def prepare_days(self) -> None:
        async with self._database.service_connection("pulse_ingest") as tx:
            made = await store.ensure_partitions(tx)
        log.info("telemetry_days_prepared", made=made)

    async def forget_old_days(self) -> None:
        """Delete what is over by each tenant's plan, and drop the days in which nothing is left."""
        async with self._database.service_connection("pulse_ingest") as tx:
            days = await retention_store.list_old_days(tx)
            terms = await retention_store.list_terms(tx)
        deleted = dropped = 0
        for day in days:
            # A transaction for each: none holds its locks for long, and a failure loses no work.
            async with self._database.service_connection("pulse_ingest") as tx:
                deleted += await retention_store.delete_over(tx, day, terms, self._clock())
            async with self._database.service_connection("pulse_ingest") as tx:
                dropped += await retention_store.drop_if_empty(tx, day)
        log.info("telemetry_days_forgotten", rows=deleted, days=dropped)

    async def prepare_days_for_ever(self) -> None:
        """Once a day.  A failure is not urgent: days are made a week ahead, and a default partition takes the rest."""
        pause = DAY_SECONDS
        while True:
            await asyncio.sleep(pause)
            try:
                await self.prepare_days()
                await self.forget_old_days()
                pause = DAY_SECONDS
            except Exception:
                log.exception("telemetry_days_not_prepared")
                pause = RETRY_SECONDS

    async def store_batch(self, messages: list[Message]) -> list[Outcome]:
        parsed = [_parse(message) for message in messages]
        readings = [reading for reading in parsed if isinstance(reading, Reading)]
        if readings:
            await self._store(readings)
            if self._judge is not None:
                await self._judge(readings)
        return [item if isinstance(item, Never) else Done() for item in parsed]

    async def _store(self, readings: list[Reading]) -> None:
        """Store what is of devices that exist; the rest become dead letters in the same transaction."""
        async with self._database.service_connection("pulse_ingest") as tx:
            done = await store.store_readings(tx, readings)
            strays = [
                _letter(reading) for reading in readings if _device_of(reading) not in done.known
            ]
            if strays:
                await limit_store.save_letters(tx, strays)
                await limit_store.forget_letters(tx, {stray.tenant_id for stray in strays})
        metrics.STORED.inc(done.rows)
        metrics.DUPLICATES.inc(len(readings) - len(strays) - done.rows)
        now = self._clock()
        for reading in readings:
            metrics.STORE_SECONDS.observe((now - reading.received_at).total_seconds())


def _parse(message: Message) -> Reading | Never:
    """The stream may hold what an older or another publisher put there: one such message must not stop a batch."""
    try:
        reading = Reading.model_validate_json(message.data)
    except ValidationError:
        return Never("not a reading")
    if reading.ts.tzinfo is None or reading.received_at.tzinfo is None:
        return Never("a time without its zone")
    if not all(is_storable(name) and is_storable(value) for name, value in reading.metrics.items()):
        return Never("a metric that cannot be stored")
    return reading


def _device_of(reading: Reading) -> tuple[UUID, UUID]:
    return reading.tenant_id, reading.device_id


def _letter(reading: Reading) -> RefusedMessage:
    """Of a device that does not exist in its tenant: deleted since, most likely."""
    said = json.dumps({"ts": reading.ts.isoformat(), "metrics": reading.metrics}).encode()
    return RefusedMessage(
        letter_id=reading.message_id,
        tenant_id=reading.tenant_id,
        device_id=reading.device_id,
        kind="telemetry",
        reason="unknown_device",
        received_at=reading.received_at,
        size_bytes=len(said),
        payload_base64=base64.b64encode(said[: limit_store.MOST_KEPT_BYTES]).decode(),
    )
