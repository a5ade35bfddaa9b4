"""Stored messages, requests and consumers, against a real server that is killed under them."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import structlog
from tests.parts import PASSWORD

from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.consume import Consumer, consume, consume_batches
from pulse_common.errors import NotFound, Unavailable
from pulse_common.messaging import Done, Later, Message, Never, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.parts import Nats

pytestmark = pytest.mark.anyio
CONSUMER = Consumer(
    stream=events.STREAM_EVENTS,
    name="test",
    subjects=["pulse.events.>"],
    fetch_seconds=0.5,
    ack_wait_seconds=2,
)


@pytest.fixture
async def bus(nats_server: Nats) -> AsyncIterator[Bus]:
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="cert_worker"
    )
    await bus.ensure_stream(events.STREAM_EVENTS)
    await bus.ensure_stream(events.STREAM_PARKED)
    yield bus
    await bus.close()


async def until(reached: asyncio.Event, seconds: float = 15.0) -> None:
    async with asyncio.timeout(seconds):
        await reached.wait()


async def test_same_message_id_is_stored_once(bus: Bus) -> None:
    for _ in range(3):
        await bus.publish_stored("pulse.events.a.b", b"x", message_id="one")

    info = await bus.jetstream.stream_info(events.STREAM_EVENTS)
    assert info.state.messages == 1


async def test_publish_without_server_is_unavailable(bus: Bus, nats_server: Nats) -> None:
    nats_server.kill()

    with pytest.raises(Unavailable):
        await bus.publish_stored("pulse.events.a.b", b"x", message_id="one")


def revoke_request() -> events.RevokeRequest:
    return events.RevokeRequest(
        tenant_id=uuid4(), device_id=uuid4(), reason="keyCompromise", actor_id="alice"
    )


async def test_call_brings_the_answer(bus: Bus) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)

    async def answer(request: events.RevokeRequest) -> events.RevokeReply:
        assert request.reason == "keyCompromise"
        return events.RevokeReply(revoked=2, revoked_at=at)

    await bus.answer(events.RevokeRequest, answer)

    reply = await bus.call(revoke_request(), events.RevokeReply)

    assert reply == events.RevokeReply(revoked=2, revoked_at=at)


async def test_call_brings_the_refusal(bus: Bus) -> None:
    async def refuse(_: events.RevokeRequest) -> events.RevokeReply:
        raise NotFound("no such device")

    await bus.answer(events.RevokeRequest, refuse)

    with pytest.raises(NotFound, match="no such device"):
        await bus.call(revoke_request(), events.RevokeReply)


async def test_bug_in_an_answer_leaks_nothing(bus: Bus) -> None:
    async def crash(_: events.RevokeRequest) -> events.RevokeReply:
        raise RuntimeError("hunter2")

    await bus.answer(events.RevokeRequest, crash)

    with pytest.raises(Unavailable) as caught:
        await bus.call(revoke_request(), events.RevokeReply)

    assert "hunter2" not in str(caught.value)


async def test_nobody_answering_is_unavailable(bus: Bus) -> None:
    with pytest.raises(Unavailable, match="cert_worker did not answer"):
        await bus.call(revoke_request(), events.RevokeReply, seconds=0.5)


async def test_slow_answer_keeps_no_other_waiting(bus: Bus) -> None:
    first = asyncio.Event()

    async def answer(_: events.RevokeRequest) -> events.RevokeReply:
        if not first.is_set():
            first.set()
            await asyncio.sleep(2)
        return events.RevokeReply(revoked=0, revoked_at=datetime(2026, 1, 1, tzinfo=UTC))

    await bus.answer(events.RevokeRequest, answer)
    slow = asyncio.create_task(bus.call(revoke_request(), events.RevokeReply))
    await until(first)

    await bus.call(revoke_request(), events.RevokeReply, seconds=1)

    assert not slow.done()
    await slow


async def test_trickle_does_not_lose_the_consumer(bus: Bus) -> None:
    """Between messages nats-py's fetch ends with its own TimeoutError or with the plain one."""
    received: list[bytes] = []

    async def handle(messages: list[Message]) -> list[Outcome]:
        received.extend(message.data for message in messages)
        return [Done() for _ in messages]

    batches = dataclasses.replace(CONSUMER, batch=10)
    with structlog.testing.capture_logs() as logs:
        task = asyncio.create_task(consume_batches(bus, batches, handle))
        for number in range(12):
            await bus.publish_stored("pulse.events.a.b", b"%d" % number, message_id=str(number))
            await asyncio.sleep(0.35)
        await asyncio.sleep(1)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    assert received == [b"%d" % number for number in range(12)]
    assert [entry["event"] for entry in logs] == []


async def test_outcomes_reach_the_server(bus: Bus) -> None:
    seen: list[tuple[bytes, int]] = []
    finished = asyncio.Event()

    async def handle(message: Message) -> Outcome:
        seen.append((message.data, message.deliveries))
        if message.data == b"never":
            return Never("cannot be read")
        if message.data == b"crash" and message.deliveries == 1:
            return Later(0.1, "once more")
        if message.data == b"last":
            finished.set()
        return Done()

    for data in (b"done", b"never", b"crash", b"last"):
        await bus.publish_stored("pulse.events.a.b", data, message_id=data.decode())
    task = asyncio.create_task(consume(bus, CONSUMER, handle))
    await until(finished)
    await asyncio.sleep(0.5)
    task.cancel()

    assert (b"crash", 2) in seen
    assert seen.count((b"never", 1)) == 1
    parked = await bus.jetstream.get_last_msg(events.STREAM_PARKED, "pulse.parked.test.>")
    assert parked.data == b"never"


async def test_stopped_consumer_hands_back_what_it_had(bus: Bus) -> None:
    began, again = asyncio.Event(), asyncio.Event()
    patient = dataclasses.replace(CONSUMER, ack_wait_seconds=60)

    async def hang(_: Message) -> Outcome:
        began.set()
        await asyncio.sleep(60)
        return Done()

    async def finish(_: Message) -> Outcome:
        again.set()
        return Done()

    await bus.publish_stored("pulse.events.a.b", b"x", message_id="x")
    first = asyncio.create_task(consume(bus, patient, hang))
    await until(began)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(consume(bus, patient, finish))

    await until(again, seconds=5)
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)


async def test_consumer_survives_a_server_that_is_killed(bus: Bus, nats_server: Nats) -> None:
    received: list[bytes] = []
    both = asyncio.Event()

    async def handle(messages: list[Message]) -> list[Outcome]:
        received.extend(message.data for message in messages)
        if b"after" in received:
            both.set()
        return [Done() for _ in messages]

    task = asyncio.create_task(consume_batches(bus, CONSUMER, handle))
    await bus.publish_stored("pulse.events.a.b", b"before", message_id="before")
    nats_server.kill()
    await asyncio.sleep(0.5)
    nats_server.start()
    async with asyncio.timeout(10):
        while True:
            try:
                await bus.publish_stored("pulse.events.a.b", b"after", message_id="after")
                break
            except Unavailable:
                await asyncio.sleep(0.2)

    await until(both)
    task.cancel()

    assert set(received) == {b"before", b"after"}


async def test_whoever_was_checked_is_known_to_listen() -> None:
    heard: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'INFO {"server_id":"test","headers":true,"max_payload":1048576}\r\n')
        while line := await reader.readline():
            heard.append(line.split()[0])
            if line.startswith(b"PING"):
                writer.write(b"PONG\r\n")
        writer.close()

    async def ignore(_: str, __: bytes) -> None:
        """Hear nothing: this server sends nothing."""

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        bus = await Bus.connect(
            url=f"nats://127.0.0.1:{port}", user="test", password=PASSWORD, service="test"
        )
        await bus.subscribe_live("pulse.live.a", ignore)
        await bus.check()
        order = list(heard)
        await bus.close()

    # A server handles one connection in order: what comes before a PING is done when it is answered.
    assert b"SUB" in order[: len(order) - order[::-1].index(b"PING")]
