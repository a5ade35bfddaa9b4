"""From one message to JetStream: charged, judged, stored (as readings, or refused with the reason), shown live."""

from __future__ import annotations

import asyncio
import base64
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, TypeVar, assert_never

import structlog

from ingest_worker import domain, metrics
from ingest_worker.backoff import delay_seconds
from ingest_worker.domain import Accepted, CommandAcknowledged, Refused
from ingest_worker.live import Live
from ingest_worker.steps import Steps
from ingest_worker.throttle import Throttle
from pulse_common.errors import Unavailable
from pulse_common.events import (
    CommandAcknowledgement,
    ParkedMessage,
    RefusedMessage,
    late_subject,
    refused_subject,
    telemetry_subject,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from ingest_worker.buckets import Over
    from ingest_worker.domain import Inbound, Origin, Verdict
    from ingest_worker.receipts import Outcome
    from ingest_worker.schemas import Schemas
    from ingest_worker.toll import Toll
    from pulse_common.bus import Bus
    from pulse_common.events import Reading

log = structlog.get_logger(__name__)

T = TypeVar("T")

MOST_PUBLISHES = 512
"""How many publishes wait for JetStream at a time; more would only time out behind each other."""
LOG_SECONDS = 1.0
KEPT_BYTES = 4096
BACKFILL_AGE = timedelta(minutes=5)
"""Older readings than this were kept by a device while it was away: they have a lane of their own."""


class Pipeline:
    """Without a ``toll`` nothing is limited, without ``schemas`` nothing is asked beyond the platform's rules."""

    def __init__(
        self,
        bus: Bus,
        toll: Toll | None = None,
        steps: Steps | None = None,
        schemas: Schemas | None = None,
    ) -> None:
        self._bus = bus
        self._schemas = schemas
        self._steps = steps or Steps()
        self._toll = toll
        self.live = Live(bus)
        self._slots = asyncio.Semaphore(MOST_PUBLISHES)
        self._refusals = Throttle(LOG_SECONDS)
        self._troubles = Throttle(LOG_SECONDS)

    async def process(self, message: Inbound) -> None:
        """Return once the message is stored, however long that takes; only then may it be acknowledged."""
        over = None
        origin = domain.parse_topic(message.topic)
        if self._toll is not None and origin is not None and origin.kind != "command/ack":
            # Before it is looked at: reading what is dropped anyway is work that a flood would make.
            size = len(message.payload)
            way, over = self._toll.charge(origin, messages=1, size_bytes=size)
            if way == "drop" and over is not None:
                self._toll.note(origin, over, "dropped", messages=1, size_bytes=size)
                return
        self._steps.look(message.received_at)
        verdict = _judge(message, origin, self._steps.leeway)
        match verdict:
            case Accepted(readings):
                await self._accept(readings, message, over)
            case Refused():
                await self._refuse(message, verdict)
            case CommandAcknowledged():
                await self._acknowledged(message, verdict)
            case _:
                assert_never(verdict)

    async def _accept(
        self, readings: tuple[Reading, ...], message: Inbound, over: Over | None
    ) -> None:
        wrong = await self._schemas.wrong(readings) if self._schemas else None
        if wrong is not None:
            origin = domain.parse_topic(message.topic)
            await self._refuse(message, Refused("schema", origin, wrong))
            return
        if len(readings) > 1 and over is None and self._toll is not None:
            origin = _origin_of(readings[0])
            way, over = self._toll.charge(origin, messages=len(readings) - 1, size_bytes=0)
            if way == "drop" and over is not None:
                count, size = len(readings), len(message.payload)
                self._toll.note(origin, over, "dropped", messages=count, size_bytes=size)
                return
        if self._is_month_over(readings, message):
            return
        if over is not None:
            await self._each(readings, lambda reading: self._defer(reading, over))
        else:
            await self._each(readings, self._accept_one)

    def _is_month_over(self, readings: tuple[Reading, ...], message: Inbound) -> bool:
        if self._toll is None:
            return False
        origin, count = _origin_of(readings[0]), len(readings)
        over = self._toll.charge_month(origin, count)
        if over is None:
            return False
        size = len(message.payload)
        self._toll.note(origin, over, "dropped", messages=count, size_bytes=size)
        return True

    async def _each(
        self, readings: tuple[Reading, ...], way: Callable[[Reading], Awaitable[None]]
    ) -> None:
        if len(readings) == 1:
            await way(readings[0])
        else:
            await asyncio.gather(*(way(reading) for reading in readings))

    async def _accept_one(self, reading: Reading) -> None:
        data = reading.to_bytes()
        if reading.received_at - reading.ts > BACKFILL_AGE + self._steps.leeway:
            lane = late_subject("backfill", reading.tenant_id)
            if await self._store_if_room(lane, data, str(reading.message_id)):
                metrics.LATE.labels("backfill").inc()
                return
        subject = telemetry_subject(reading.tenant_id, reading.device_id)
        await self._store(subject, data, str(reading.message_id))
        metrics.ACCEPTED.inc()
        await self.live.show(reading, data)

    async def _defer(self, reading: Reading, over: Over) -> None:
        """Let a reading wait in its tenant's overflow, or drop it when that is full."""
        data = reading.to_bytes()
        lane = late_subject("overflow", reading.tenant_id)
        kept = await self._store_if_room(lane, data, str(reading.message_id))
        if kept:
            metrics.LATE.labels("overflow").inc()
        if self._toll is not None:
            outcome: Outcome = "deferred" if kept else "dropped"
            origin = _origin_of(reading)
            self._toll.note(origin, over, outcome, messages=1, size_bytes=len(data))

    async def _acknowledged(self, message: Inbound, said: CommandAcknowledged) -> None:
        metrics.COMMAND_ACKS.inc()
        envelope = CommandAcknowledgement(
            tenant_id=said.origin.tenant_id,
            device_id=said.origin.device_id,
            command_id=said.command_id,
            received_at=message.received_at,
            ok=said.ok,
            result=said.result,
        )
        message_id = f"{said.origin.device_id}-{said.command_id}"
        subject = late_subject("acknowledged", said.origin.tenant_id)
        # Over 10,000 that wait, only a device that makes them up can be: they are dropped.
        await self._store_if_room(subject, envelope.to_bytes(), message_id)

    async def _refuse(self, message: Inbound, refused: Refused) -> None:
        letter_id = domain.parked_id(message, refused.reason)
        origin = refused.origin
        kept = base64.b64encode(message.payload[:KEPT_BYTES]).decode()
        if origin is None:
            stray = ParkedMessage(
                reason=refused.reason,
                topic=message.topic[:512],
                received_at=message.received_at,
                size_bytes=len(message.payload),
                payload_base64=kept,
            )
            subject, data = "pulse.parked.ingest.unknown.unknown", stray.to_bytes()
        else:
            letter = RefusedMessage(
                letter_id=letter_id,
                tenant_id=origin.tenant_id,
                device_id=origin.device_id,
                kind=origin.kind,
                reason=refused.reason,
                detail=refused.detail,
                received_at=message.received_at,
                size_bytes=len(message.payload),
                payload_base64=kept,
            )
            subject, data = refused_subject(origin.tenant_id), letter.to_bytes()
        await self._store(subject, data, str(letter_id))
        metrics.REFUSED.labels(refused.reason).inc()
        held_back = self._refusals.passes()
        if held_back is not None:
            log.warning(
                "message_refused", reason=refused.reason, subject=subject, held_back_lines=held_back
            )

    async def _store(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish until JetStream says that it has it; the id makes a repeat harmless."""
        publish = partial(self._bus.publish_stored, subject, data, message_id=message_id)
        await self._insist(publish, subject)

    async def _store_if_room(self, subject: str, data: bytes, message_id: str) -> bool:
        """As ``_store``, to a lane that may be full; False then."""
        publish = partial(self._bus.publish_if_room, subject, data, message_id=message_id)
        return await self._insist(publish, subject)

    async def _insist(self, publish: Callable[[], Awaitable[T]], subject: str) -> T:
        attempt = 0
        while True:
            try:
                async with self._slots:
                    return await publish()
            except Unavailable as error:
                self._report(error)
            except Exception:
                # Whatever is wrong, the message is not stored, and nobody else will store it.
                log.exception("store_crashed", subject=subject)
            metrics.STORE_RETRIES.inc()
            await asyncio.sleep(delay_seconds(attempt))
            attempt += 1

    def _report(self, error: Unavailable) -> None:
        held_back = self._troubles.passes()
        if held_back is not None:
            log.warning("store_retried", error=error.message, held_back_lines=held_back)


def _origin_of(reading: Reading) -> Origin:
    return domain.Origin(reading.tenant_id, reading.device_id, "telemetry")


def _judge(message: Inbound, origin: Origin | None, leeway: timedelta) -> Verdict:
    try:
        return domain.judge(message, origin, leeway)
    except Exception:
        # A bug of ours must not hold up everybody behind this message.
        log.exception("judging_crashed")
        return Refused("internal", origin)
