"""Answers that have no end, drip, are packed, broken or silent, and what they ask for."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest
from services.delivery_worker.tests.endpoints import Endpoint, serving
from services.delivery_worker.tests.test_calls import calling

from delivery_worker.calls import MOST_SHOWN_BYTES
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

pytestmark = pytest.mark.anyio


async def test_long_answer_is_cut_and_shown_up_to_a_kibibyte() -> None:
    endpoint = Endpoint(body="\x00é".encode() * 5_000_000, echoes_challenge=False)
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert attempt.delivered
        assert 0 < len(attempt.body.encode()) <= MOST_SHOWN_BYTES
        assert "\x00" not in attempt.body


async def test_silent_endpoint_costs_its_time_and_no_more() -> None:
    async with serving(Endpoint(hangs=True)) as endpoint, calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=0.3)

        assert attempt.stage == "during"
        assert 250 <= attempt.latency_ms < 2000


@pytest.mark.parametrize(
    "answer", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 X\r\ncontent-length: 9\r\n\r\nx"]
)
async def test_broken_answer_is_a_failed_attempt(answer: bytes) -> None:
    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with calling(port) as caller:
        attempt = await caller.post(f"http://127.0.0.1:{port}/", {}, b"{}", seconds=5)
    server.close()

    assert (attempt.stage, attempt.delivered) == ("during", False)


@contextlib.asynccontextmanager
async def answering(parts: AsyncIterator[bytes]) -> AsyncIterator[int]:
    """Answer on a port with what ``parts`` gives, whatever is asked: none of it has to be HTTP."""
    at_work: set[asyncio.Task[None]] = set()

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if task := asyncio.current_task():
            at_work.add(task)
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            async for part in parts:
                writer.write(part)
                await writer.drain()
        writer.transport.abort()

    server = await asyncio.start_server(respond, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    for task in at_work:
        task.cancel()
    await asyncio.wait(at_work)


async def drops(first: bytes, drop: bytes, wait: float, most: int = 10_000) -> AsyncIterator[bytes]:
    yield first
    for _ in range(most):
        await asyncio.sleep(wait)
        yield drop


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"H", b"T"),
        (b"HTTP/1.1 200 X\r\n", b"x: y\r\n"),
        (b"HTTP/1.1 200 X\r\ncontent-length: 99999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
    ids=["status line", "headers", "body", "chunks", "interim answers"],
)
async def test_answer_that_comes_drop_by_drop_ends_with_the_time_out(
    first: bytes, drop: bytes
) -> None:
    async with answering(drops(first, drop, 0.05)) as port, calling(port) as caller:
        attempt = await caller.post(f"http://127.0.0.1:{port}/", {}, b"{}", seconds=0.6)

    assert (attempt.delivered, attempt.stage) == (False, "during")
    assert attempt.latency_ms < 2000


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"HTTP/1.1 200 X\r\nx: ", b"y" * 65536),
        (b"HTTP/1.1 200 X\r\n", b"x: " + b"y" * 65536 + b"\r\n"),
        (b"", b"y" * 65536),
    ],
    ids=["one header", "many headers", "no line's end"],
)
async def test_head_of_an_answer_without_an_end_is_not_read_to_its_end(
    first: bytes, drop: bytes
) -> None:
    sent = 0

    async def flood() -> AsyncIterator[bytes]:
        nonlocal sent
        async for part in drops(first, drop, 0, most=4000):
            sent += len(part)
            yield part

    async with answering(flood()) as port, calling(port) as caller:
        attempt = await caller.post(f"http://127.0.0.1:{port}/", {}, b"{}", seconds=10)

    assert (attempt.delivered, attempt.stage) == (False, "during")
    assert attempt.error == "the connection broke, or the answer was not HTTP"
    assert sent < 16 * 1024 * 1024


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, gzip"])
async def test_packed_answer_is_never_unpacked(encoding: str) -> None:
    bomb = zlib.compress(b"\x00" * 50_000_000)
    endpoint = Endpoint(
        body=bomb, headers=f"content-encoding: {encoding}\r\n", echoes_challenge=False
    )
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert endpoint.received[0].headers["accept-encoding"] == "identity"
        assert attempt.delivered
        assert attempt.body.encode().startswith(b"x")
        assert len(attempt.body.encode()) <= MOST_SHOWN_BYTES


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("120", 120, 120),
        (" 7 ", 7, 7),
        ("Mon, 01 Jan 2001 00:00:00 GMT", 0, 0),
        ("999999999", 999_999_999, 999_999_999),
    ],
)
async def test_what_an_endpoint_asks_to_wait_is_read(said: str, least: float, most: float) -> None:
    endpoint = Endpoint(status=429, headers=f"Retry-After: {said}\r\n")
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert attempt.asked_to_wait is not None
        assert least <= attempt.asked_to_wait <= most


async def test_an_endpoint_may_name_the_time_it_waits_for() -> None:
    said = format_datetime(system_clock() + timedelta(hours=1), usegmt=True)
    endpoint = Endpoint(status=429, headers=f"Retry-After: {said}\r\n")
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert attempt.asked_to_wait is not None
        assert 3500 <= attempt.asked_to_wait <= 3601


@pytest.mark.parametrize(
    "said", ["", "soon", "-5", "1e9", "1.5", "9" * 400, "Mon, 99 Foo 2001 00:00:00 GMT", "\xe9"]
)
async def test_odd_wish_to_wait_is_none(said: str) -> None:
    endpoint = Endpoint(status=503, headers=f"Retry-After: {said}\r\n")
    async with serving(endpoint), calling(endpoint.port) as caller:
        attempt = await caller.post(endpoint.url, {}, b"{}", seconds=5)

        assert (attempt.status, attempt.asked_to_wait) == (503, None)


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"HTTP/1.1 200 X\r\ncontent-length: 999999999999\r\n\r\n", b"y" * 65536),
        (b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\ny\r\n" * 9999),
        (b"HTTP/1.1 200 X\r\n\r\n", b"y" * 65536),
    ],
    ids=["announced", "chunked", "until the connection ends"],
)
async def test_endless_answer_is_left_as_soon_as_enough_is_read(first: bytes, drop: bytes) -> None:
    async with answering(drops(first, drop, 0, most=100_000)) as port, calling(port) as caller:
        attempt = await caller.post(f"http://127.0.0.1:{port}/", {}, b"{}", seconds=3)

    assert attempt.delivered
    assert attempt.body == "y" * MOST_SHOWN_BYTES
    assert attempt.latency_ms < 2000
