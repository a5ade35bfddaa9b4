"""From one message to JetStream: judged, stored (as readings, or parked with the reason), shown live."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, assert_never

import structlog

from ingest_worker import domain, metrics
from ingest_worker.backoff import delay_seconds
from ingest_worker.domain import Accepted, CommandAcknowledged, Refused
from ingest_worker.payload import LARGEST_PAYLOAD_BYTES
from ingest_worker.throttle import Throttle
from pulse_common.errors import Unavailable
from pulse_common.events import ParkedMessage, live_subject, telemetry_subject

if TYPE_CHECKING:
    from ingest_worker.domain import Inbound, Verdict
    from pulse_common.bus import Bus
    from pulse_common.events import Reading

log = structlog.get_logger(__name__)

MOST_PUBLISHES = 512
"""How many publishes wait for JetStream at a time; more would only time out behind each other."""
LOG_SECONDS = 1.0


class Pipeline:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._slots = asyncio.Semaphore(MOST_PUBLISHES)
        self._refusals = Throttle(LOG_SECONDS)
        self._troubles = Throttle(LOG_SECONDS)

    async def process(self, message: Inbound) -> None:
        """Return once the message is stored, however long that takes; only then may it be acknowledged."""
        verdict = _judge(message)
        match verdict:
            case Accepted(readings):
                await self._accept(readings)
            case Refused():
                await self._park(message, verdict)
            case CommandAcknowledged(origin, command_id):
                metrics.COMMAND_ACKS.inc()
                log.info(
                    "command_acknowledged",
                    tenant_id=str(origin.tenant_id),
                    device_id=str(origin.device_id),
                    command_id=str(command_id),
                )
            case _:
                assert_never(verdict)

    async def _accept(self, readings: tuple[Reading, ...]) -> None:
        if len(readings) == 1:
            await self._accept_one(readings[0])
        else:
            await asyncio.gather(*(self._accept_one(reading) for reading in readings))

    async def _accept_one(self, reading: Reading) -> None:
        data = reading.to_bytes()
        subject = telemetry_subject(reading.tenant_id, reading.device_id)
        await self._store(subject, data, str(reading.message_id))
        metrics.ACCEPTED.inc()
        await self._bus.publish_live(live_subject(reading.tenant_id), data)

    async def _park(self, message: Inbound, refused: Refused) -> None:
        origin = refused.origin
        owner = "unknown.unknown" if origin is None else f"{origin.tenant_id}.{origin.device_id}"
        envelope = ParkedMessage(
            reason=refused.reason,
            topic=message.topic[:512],
            received_at=message.received_at,
            size_bytes=len(message.payload),
            payload_base64=base64.b64encode(message.payload[:LARGEST_PAYLOAD_BYTES]).decode(),
        )
        parked_id = domain.parked_id(message, refused.reason)
        await self._store(f"pulse.parked.ingest.{owner}", envelope.to_bytes(), str(parked_id))
        metrics.REFUSED.labels(refused.reason).inc()
        held_back = self._refusals.passes()
        if held_back is not None:
            log.warning(
                "message_refused", reason=refused.reason, owner=owner, held_back_lines=held_back
            )

    async def _store(self, subject: str, data: bytes, message_id: str) -> None:
        """Publish until JetStream says that it has it; the id makes a repeat harmless."""
        attempt = 0
        while True:
            try:
                async with self._slots:
                    await self._bus.publish_stored(subject, data, message_id=message_id)
            except Unavailable as error:
                self._report(error)
            except Exception:
                # Whatever is wrong, the message is not stored, and nobody else will store it.
                log.exception("store_crashed", subject=subject)
            else:
                return
            metrics.STORE_RETRIES.inc()
            await asyncio.sleep(delay_seconds(attempt))
            attempt += 1

    def _report(self, error: Unavailable) -> None:
        held_back = self._troubles.passes()
        if held_back is not None:
            log.warning("store_retried", error=error.message, held_back_lines=held_back)


def _judge(message: Inbound) -> Verdict:
    try:
        return domain.judge(message)
    except Exception:
        # A bug of ours must not hold up everybody behind this message.
        log.exception("judging_crashed")
        return Refused("internal", domain.parse_topic(message.topic))
