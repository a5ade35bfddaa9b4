"""Pull consumers that survive a server restart.

When the server does not answer a fetch, or says that the consumer is gone, the loop makes the consumer anew.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors
import structlog
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from pulse_common import messaging, metrics
from pulse_common.errors import Unavailable
from pulse_common.pulling import Ended, Silent, hand_back

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

    from pulse_common.bus import Bus
    from pulse_common.messaging import BatchHandler, Handler, Message, Outcome

log = structlog.get_logger(__name__)

_TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumer:
    """A durable consumer: ``name`` is shared by the replicas that split its work."""

    stream: str
    name: str
    subjects: Sequence[str]
    batch: int = 1
    fetch_seconds: float = 5.0
    linger_seconds: float | None = None
    """How long the first message of a batch waits for the others; None: as long as a fetch."""
    ack_wait_seconds: float = 30.0
    max_ack_pending: int = 1000
    only_new: bool = False


class _StreamMessage:
    """A JetStream message as ``messaging`` sees it."""

    def __init__(self, message: Msg, bus: Bus, consumer: str) -> None:
        self._message = message
        self._bus = bus
        self._consumer = consumer

    @property
    def subject(self) -> str:
        return self._message.subject

    @property
    def data(self) -> bytes:
        return self._message.data

    @property
    def deliveries(self) -> int:
        return self._message.metadata.num_delivered or 1

    async def ack(self) -> None:
        await self._message.ack()

    async def retry(self, seconds: float) -> None:
        await self._message.nak(delay=seconds)

    async def park(self, reason: str) -> None:
        """Keep a copy in PARKED before the original is ended, so that it is never in neither."""
        sequence = self._message.metadata.sequence.stream
        await self._bus.publish_stored(
            f"pulse.parked.{self._consumer}.{self._message.subject}",
            self._message.data,
            message_id=f"{self._consumer}-{sequence}",
        )
        log.warning("message_parked", consumer=self._consumer, sequence=sequence, reason=reason)
        await self._message.term()


async def consume(bus: Bus, consumer: Consumer, handler: Handler) -> None:
    """Hand over messages one by one, for ever."""

    async def each(messages: list[Message]) -> list[Outcome]:
        return [await messaging.deliver(message, handler) for message in messages]

    await _run(bus, consumer, each)


async def consume_batches(bus: Bus, consumer: Consumer, handler: BatchHandler) -> None:
    """Hand over up to ``consumer.batch`` messages at a time, for ever."""

    async def whole(messages: list[Message]) -> list[Outcome]:
        return await messaging.deliver_batch(messages, handler)

    await _run(bus, consumer, whole)


async def _run(bus: Bus, consumer: Consumer, work: BatchHandler) -> None:
    while True:
        try:
            await _pull(bus, consumer, work)
        except (*_TROUBLE, Ended) as error:
            log.warning("consumer_lost", consumer=consumer.name, error=repr(error))
        await asyncio.sleep(random.uniform(0.2, 1.0))  # noqa: S311 -- jitter, not a secret


async def _pull(bus: Bus, consumer: Consumer, work: BatchHandler) -> None:
    """Fetch until the subscription can no longer be trusted."""
    await _ensure(bus.jetstream, consumer)
    async with bus.pull(consumer.stream, consumer.name) as pull:
        while True:
            try:
                fetched = await pull.fetch(
                    consumer.batch, consumer.fetch_seconds, consumer.linger_seconds
                )
            except Silent:
                log.warning("consumer_silent", consumer=consumer.name)
                return
            if not fetched:
                continue
            try:
                outcomes = await work([_StreamMessage(m, bus, consumer.name) for m in fetched])
            except asyncio.CancelledError:
                await hand_back(fetched)
                raise
            for name, count in Counter(type(each).__name__.lower() for each in outcomes).items():
                metrics.MESSAGES.labels(consumer.stream, consumer.name, name).inc(count)


async def _ensure(jetstream: JetStreamContext, consumer: Consumer) -> None:
    wanted = ConsumerConfig(
        durable_name=consumer.name,
        filter_subjects=list(consumer.subjects),
        ack_policy=AckPolicy.EXPLICIT,
        ack_wait=consumer.ack_wait_seconds,
        max_ack_pending=consumer.max_ack_pending,
        deliver_policy=DeliverPolicy.NEW if consumer.only_new else DeliverPolicy.ALL,
    )
    await jetstream.add_consumer(consumer.stream, wanted)


async def waiting(bus: Bus, consumer: Consumer) -> int:
    """Return how many messages nobody has been handed yet.

    Raises:
        Unavailable: the bus is away, or the consumer was never made.
    """
    try:
        found = await bus.jetstream.consumer_info(consumer.stream, consumer.name)
    except (*_TROUBLE, TimeoutError) as error:
        raise Unavailable("the message stream is away") from error
    return found.num_pending or 0
