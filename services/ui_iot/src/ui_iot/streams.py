"""How full the message streams are: numbers by stream, consumer and subject, never a message."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors
import structlog

from pulse_common import events
from pulse_common.delivery_events import delivery_subject
from ui_iot.operator_job_models import Consumer, Parked, Stream

if TYPE_CHECKING:
    from collections.abc import Iterable
    from uuid import UUID

    from pulse_common.bus import Bus

log = structlog.get_logger(__name__)

ASK_SECONDS = 3.0
#: Streams whose consumers are few and named; a delivery has one for each route.
WITH_CONSUMERS = (
    events.STREAM_EVENTS,
    events.STREAM_TELEMETRY,
    events.STREAM_REFUSED,
    events.STREAM_LATE,
)
ALONE = (events.STREAM_DELIVERY, events.STREAM_PARKED, events.STREAM_AUDIT_HEADS)
_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class Streams:
    bus: Bus

    async def waiting(self, routes: Iterable[tuple[UUID, UUID]]) -> dict[UUID, int] | None:
        """Return how many messages wait for each of the routes (tenant, route); None while the stream is away."""
        counts: dict[UUID, int] = {}
        try:
            async with asyncio.timeout(ASK_SECONDS):
                for tenant, route in routes:
                    found = await self._subjects(
                        events.STREAM_DELIVERY, delivery_subject(tenant, route)
                    )
                    counts[route] = sum(found.values())
        except _TROUBLE as error:
            log.warning("streams_not_read", error=repr(error))
            return None
        return counts

    async def all(self) -> list[Stream] | None:
        try:
            async with asyncio.timeout(ASK_SECONDS):
                found = [
                    await self._stream(name, with_consumers=name in WITH_CONSUMERS)
                    for name in (*WITH_CONSUMERS, *ALONE)
                ]
        except _TROUBLE as error:
            log.warning("streams_not_read", error=repr(error))
            return None
        return [stream for stream in found if stream is not None]

    async def parked(self) -> list[Parked] | None:
        """Count what was parked by consumer and kind of subject; ids are left out, so the list stays short."""
        try:
            async with asyncio.timeout(ASK_SECONDS):
                subjects = await self._subjects(events.STREAM_PARKED, "pulse.parked.>")
        except _TROUBLE as error:
            log.warning("streams_not_read", error=repr(error))
            return None
        counts: Counter[tuple[str, str]] = Counter()
        for subject, messages in subjects.items():
            counts[_kind(subject)] += messages
        return [
            Parked(consumer=consumer, subject=subject, messages=messages)
            for (consumer, subject), messages in sorted(counts.items())
        ]

    async def _stream(self, name: str, *, with_consumers: bool) -> Stream | None:
        try:
            state = (await self.bus.jetstream.stream_info(name)).state
            held = await self.bus.jetstream.consumers_info(name) if with_consumers else []
        except nats.js.errors.NotFoundError:
            return None  # whoever owns it has not started yet
        consumers = [
            Consumer(
                name=one.name,
                waiting=one.num_pending or 0,
                under_way=one.num_ack_pending or 0,
                tried_again=one.num_redelivered or 0,
            )
            for one in held
        ]
        return Stream(
            name=name, messages=state.messages, size_bytes=state.bytes, consumers=consumers
        )

    async def _subjects(self, stream: str, subjects: str) -> dict[str, int]:
        try:
            info = await self.bus.jetstream.stream_info(stream, subjects_filter=subjects)
        except nats.js.errors.NotFoundError:
            return {}
        return info.state.subjects or {}


def _kind(subject: str) -> tuple[str, str]:
    """Split ``pulse.parked.{consumer}.{subject}``, the ids of tenants and devices as ``*``."""
    _, _, consumer, *rest = subject.split(".")
    return consumer, ".".join("*" if len(part) > 30 else part for part in rest)  # noqa: PLR2004 -- a UUID has 36
