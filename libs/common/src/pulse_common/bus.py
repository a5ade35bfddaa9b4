"""NATS: stored messages, live messages, and requests that carry their refusals back.

Streams are made by whoever comes first (the definitions below are the only ones).  A stored publish is acknowledged by
JetStream with its ``Nats-Msg-Id``; the server drops a second one with the same id within ``DUPLICATE_WINDOW_SECONDS``.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

import nats
import nats.errors
import nats.js.errors
import structlog
from nats.js.api import DiscardPolicy, RetentionPolicy, StorageType, StreamConfig
from pydantic import ValidationError

from pulse_common import events, origin
from pulse_common.acknowledged import Acknowledged
from pulse_common.errors import BY_CODE, AppError, Unavailable
from pulse_common.pulling import Pull

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from nats.aio.client import Client
    from nats.aio.msg import Msg
    from nats.js import JetStreamContext

log = structlog.get_logger(__name__)

DUPLICATE_WINDOW_SECONDS = 600.0
PUBLISH_SECONDS = 5.0
CALL_SECONDS = 5.0
DRAIN_SECONDS = 5.0
CHECK_SECONDS = 2.0
MOST_ANSWERS = 32
"""Requests of one kind that a replica works on at a time; more wait in its subscription."""
MOST_WAITING = 10_000
"""Messages that may wait for one route."""
ERROR_HEADER = "Pulse-Error"
ORIGIN_HEADER = "Pulse-Origin"
_DAY_SECONDS = 86_400
_FULL = frozenset(
    {10077}
)  # what the server answers when a bound of the stream, or of one subject of it, is reached

STREAMS = {
    events.STREAM_EVENTS: StreamConfig(
        name=events.STREAM_EVENTS,
        subjects=["pulse.events.>"],
        storage=StorageType.FILE,
        max_age=7 * _DAY_SECONDS,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    ),
    events.STREAM_TELEMETRY: StreamConfig(
        name=events.STREAM_TELEMETRY,
        subjects=["pulse.telemetry.>"],
        storage=StorageType.FILE,
        max_age=2 * _DAY_SECONDS,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    ),
    # What waits, by route.  Full means refused, for that route alone: delivery_worker counts it and tells the tenant.
    events.STREAM_DELIVERY: StreamConfig(
        name=events.STREAM_DELIVERY,
        subjects=["pulse.delivery.>"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=True,
        max_msgs_per_subject=MOST_WAITING,
        max_age=14 * _DAY_SECONDS,
        max_bytes=2 * 1024 * 1024 * 1024,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    ),
    events.STREAM_PARKED: StreamConfig(
        name=events.STREAM_PARKED,
        subjects=["pulse.parked.>"],
        storage=StorageType.FILE,
        max_age=30 * _DAY_SECONDS,
        max_bytes=256 * 1024 * 1024,
    ),
    # On its way to the dead letters.  A tenant's subject holds its newest 1,000: a flood displaces only its own.
    events.STREAM_REFUSED: StreamConfig(
        name=events.STREAM_REFUSED,
        subjects=["pulse.refused.*"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        max_msgs_per_subject=1000,
        max_age=7 * _DAY_SECONDS,
        max_bytes=1024 * 1024 * 1024,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    ),
    # What waits, by lane and tenant.  Full means refused, for each subject by itself: who publishes decides then.
    events.STREAM_LATE: StreamConfig(
        name=events.STREAM_LATE,
        subjects=["pulse.late.*.*"],
        storage=StorageType.FILE,
        retention=RetentionPolicy.WORK_QUEUE,
        discard=DiscardPolicy.NEW,
        discard_new_per_subject=True,
        max_msgs_per_subject=10_000,
        max_bytes=1024 * 1024 * 1024,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    ),
    # Evidence: kept as long as there is room, and nobody may delete or purge (deploy/nats).
    events.STREAM_AUDIT_HEADS: StreamConfig(
        name=events.STREAM_AUDIT_HEADS,
        subjects=["pulse.audit.heads.*"],
        storage=StorageType.FILE,
        max_bytes=1024 * 1024 * 1024,
        duplicate_window=DUPLICATE_WINDOW_SECONDS,
    ),
}

Q = TypeVar("Q", bound=events.Call)
R = TypeVar("R", bound=events.Wire)


class Bus:
    """One connection of one service."""

    def __init__(self, connection: Client, service: str, replicas: int = 1) -> None:
        self._nc = connection
        self._replicas = replicas
        self._js: JetStreamContext = connection.jetstream(timeout=PUBLISH_SECONDS)
        self._stored = Acknowledged(connection, PUBLISH_SECONDS)
        self._service = service

    @classmethod
    async def connect(
        cls, *, url: str, user: str, password: str, service: str, replicas: int = 1
    ) -> Bus:
        """Connect and keep reconnecting for ever; while away, calls raise ``Unavailable``.

        ``url`` may be several, with commas between; ``replicas`` is how many copies streams are made with.
        """

        async def on_error(error: Exception) -> None:
            log.warning("nats_error", error=repr(error))

        async def on_disconnect() -> None:
            log.warning("nats_disconnected")

        async def on_reconnect() -> None:
            log.info("nats_reconnected")

        connection = await nats.connect(
            url.split(","),
            user=user,
            password=password,
            name=service,
            # Answers come to an inbox that only this user may read.
            inbox_prefix=f"_INBOX.{user}",
            max_reconnect_attempts=-1,
            reconnect_time_wait=0.5,
            ping_interval=10,
            max_outstanding_pings=2,
            error_cb=on_error,
            disconnected_cb=on_disconnect,
            reconnected_cb=on_reconnect,
        )
        return cls(connection, service, replicas)

    async def close(self) -> None:
        if self._nc.is_closed:
            return
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._nc.drain()
        except (nats.errors.Error, OSError):
            with contextlib.suppress(OSError):  # the server went away while we said goodbye
                await self._nc.close()

    async def check(self) -> None:
        """Readiness: raise unless the server answers; it then knows all that was subscribed before."""
        async with asyncio.timeout(CHECK_SECONDS):
            # nats-py sends a PING past the subscriptions that wait in its buffer; those are out when the first is
            # answered, so that the second one comes after them.
            await self._nc.flush(timeout=2)
            await self._nc.flush(timeout=2)
        # flush() also returns when the connection is lost while it waits.
        if not self._nc.is_connected:
            raise Unavailable("the message bus is away")

    def unbroken(self) -> int | None:
        """Name the stretch since the connection last broke, in which no live message was missed; None without one."""
        return self._nc.stats["reconnects"] if self._nc.is_connected else None

    @property
    def jetstream(self) -> JetStreamContext:
        return self._js

    async def ensure_stream(self, name: str) -> None:
        """Make a stream, or bring its settings to the ones above."""
        wanted = STREAMS[name].evolve(num_replicas=self._replicas)
        try:
            await self._js.add_stream(wanted)
        except nats.js.errors.BadRequestError:
            await self._js.update_stream(wanted)

    def pull(self, stream: str, consumer: str) -> Pull:
        """Fetch from a durable consumer, which must be there: ``async with bus.pull(...) as pull``."""
        return Pull(self._nc, stream, consumer)

    async def publish_stored(self, subject: str, data: bytes, *, message_id: str) -> None:
        """Publish to a stream and wait until it is stored.

        Raises:
            Unavailable: when no acknowledgement came; the message may or may not be stored, and the same
                ``message_id`` makes a repeat harmless.
        """
        try:
            await self._stored.publish(subject, data, {"Nats-Msg-Id": message_id})
        except (nats.errors.Error, nats.js.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable("the message stream is away") from error

    async def publish_if_room(self, subject: str, data: bytes, *, message_id: str) -> bool:
        """As ``publish_stored``, to a stream that refuses what is over its bound: False when it did."""
        return await self._publish_unless(_is_full, subject, data, message_id)

    async def publish_if_subject_has_room(
        self, subject: str, data: bytes, *, message_id: str
    ) -> bool:
        """As ``publish_if_room``, for the bound of this one subject: a stream that is full as a whole is away."""
        return await self._publish_unless(_is_subject_full, subject, data, message_id)

    async def _publish_unless(
        self,
        refused: Callable[[nats.js.errors.APIError], bool],
        subject: str,
        data: bytes,
        message_id: str,
    ) -> bool:
        try:
            await self.publish_stored(subject, data, message_id=message_id)
        except Unavailable as error:
            refusal = error.__cause__
            if not isinstance(refusal, nats.js.errors.APIError) or not refused(refusal):
                raise
            return False
        return True

    async def publish_live(self, subject: str, data: bytes) -> None:
        """Publish to whoever listens now; lost when nobody does or the server is away."""
        try:
            await self._nc.publish(subject, data)
        except (nats.errors.Error, OSError) as error:
            log.debug("live_message_lost", error=repr(error))

    async def subscribe_live(
        self, subject: str, handler: Callable[[str, bytes], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        """Call ``handler(subject, data)`` for each live message; returns the way to stop."""

        async def on_message(message: Msg) -> None:
            await handler(message.subject, message.data)

        subscription = await self._nc.subscribe(subject, cb=on_message)
        return subscription.unsubscribe

    async def call(
        self, request: events.Call, reply: type[R], *, seconds: float = CALL_SECONDS
    ) -> R:
        """Ask another service.

        Raises:
            AppError: the refusal that the other side raised, with its message.
            Unavailable: nobody answered in time; whether it was done is not known.
        """
        came = origin.to_header()
        headers = {ORIGIN_HEADER: came} if came else None
        try:
            message = await self._nc.request(
                request.rpc, request.to_bytes(), timeout=seconds, headers=headers
            )
        except (nats.errors.Error, TimeoutError, OSError) as error:
            raise Unavailable(f"{request.rpc.split('.')[2]} did not answer") from error
        code = (message.headers or {}).get(ERROR_HEADER)
        if code is not None:
            raise BY_CODE.get(code, Unavailable)(message.data.decode())
        return reply.model_validate_json(message.data)

    async def answer(self, kind: type[Q], handler: Callable[[Q], Awaitable[events.Wire]]) -> None:
        """Serve ``kind.rpc``, shared with the other replicas of this service."""
        under_way: set[asyncio.Task[None]] = set()
        room = asyncio.Semaphore(MOST_ANSWERS)

        async def on_message(message: Msg) -> None:
            await room.acquire()
            task = asyncio.create_task(_answer_one(message, kind, handler))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            task.add_done_callback(lambda _: room.release())

        await self._nc.subscribe(kind.rpc, queue=self._service, cb=on_message)


def _is_full(refusal: nats.js.errors.APIError) -> bool:
    return refusal.err_code in _FULL


def _is_subject_full(refusal: nats.js.errors.APIError) -> bool:
    return _is_full(refusal) and "per subject" in (refusal.description or "")


async def _answer_one(
    message: Msg, kind: type[Q], handler: Callable[[Q], Awaitable[events.Wire]]
) -> None:
    origin.from_header((message.headers or {}).get(ORIGIN_HEADER))
    try:
        answer = await handler(kind.model_validate_json(message.data))
    except AppError as error:
        await _refuse(message, error.code, error.message)
    except ValidationError:
        await _refuse(message, "malformed", "the request is not of the agreed shape")
    except Exception:
        log.exception("rpc_crashed", rpc=kind.rpc)
        await _refuse(message, "unavailable", "the service could not answer; the error was logged")
    else:
        await message.respond(answer.to_bytes())


async def _refuse(message: Msg, code: str, text: str) -> None:
    if message.reply:
        client = message._client  # noqa: SLF001 -- nats-py's respond() cannot set headers
        await client.publish(message.reply, text.encode(), headers={ERROR_HEADER: code})
