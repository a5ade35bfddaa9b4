"""Fetching from a pull consumer: what comes when, what is handed back, and a server that says nothing or goodbye."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import nats
import pytest
from nats.js.api import AckPolicy, ConsumerConfig
from tests.parts import PASSWORD, frozen

from pulse_common.pulling import Ended, Pull, Silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client
    from tests.parts import Nats

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection(nats_server: Nats) -> AsyncIterator[Client]:
    connection = await nats.connect(nats_server.url, user="test", password=PASSWORD)
    jetstream = connection.jetstream()
    await jetstream.add_stream(name="BOOKS", subjects=["books.*"])
    reader = ConsumerConfig(durable_name="reader", ack_policy=AckPolicy.EXPLICIT, ack_wait=60)
    await jetstream.add_consumer("BOOKS", reader)
    yield connection
    await connection.close()


async def publish(connection: Client, count: int) -> None:
    for number in range(count):
        await connection.jetstream().publish("books.new", b"%d" % number)


async def test_full_batch_comes_at_once_and_the_rest_with_the_next(connection: Client) -> None:
    await publish(connection, 15)

    async with Pull(connection, "BOOKS", "reader") as pull:
        first = await asyncio.wait_for(pull.fetch(10, 30), 5)
        rest = await pull.fetch(10, 0.5)

    assert [int(each.data) for each in first + rest] == list(range(15))


async def test_nothing_there_is_an_empty_answer_and_not_a_silence(connection: Client) -> None:
    async with Pull(connection, "BOOKS", "reader") as pull:
        assert await pull.fetch(10, 0.3) == []


async def test_first_message_waits_no_longer_for_others_than_it_should(
    connection: Client,
) -> None:
    async with Pull(connection, "BOOKS", "reader") as pull:
        fetching = asyncio.create_task(pull.fetch(10, 5, 0.1))
        await asyncio.sleep(0.5)
        began = time.monotonic()
        await publish(connection, 3)
        first = await fetching
        took = time.monotonic() - began
        await publish(connection, 2)
        rest = await pull.fetch(10, 5, 0.1)
        assert await pull.fetch(10, 0.3, 0.1) == []

    assert took < 1
    assert 1 <= len(first) <= 3
    assert len(first + rest) == 5


async def test_end_of_an_earlier_fetch_does_not_end_the_next(connection: Client) -> None:
    """A request that was not filled is ended by a status, perhaps after the next one was made."""
    async with Pull(connection, "BOOKS", "reader") as pull:
        for number in range(5):
            assert await pull.fetch(10, 0.05) == []
            fetching = asyncio.create_task(pull.fetch(1, 5))
            await connection.jetstream().publish("books.new", b"%d" % number)
            (found,) = await fetching
            assert int(found.data) == number


async def test_what_was_gathered_is_handed_back_when_a_fetch_is_cancelled(
    connection: Client,
) -> None:
    await publish(connection, 5)
    pull = Pull(connection, "BOOKS", "reader")

    async def read() -> None:
        async with pull:
            await pull.fetch(10, 30)

    reading = asyncio.create_task(read())
    await asyncio.sleep(0.5)  # five of ten are gathered
    reading.cancel()
    await asyncio.sleep(0)
    reading.cancel()  # whoever stops a service insists
    await asyncio.wait([reading], timeout=5)

    assert reading.cancelled()
    async with Pull(connection, "BOOKS", "reader") as other:
        again = await other.fetch(5, 5)  # long before the ack wait of a minute
    assert sorted(int(each.data) for each in again) == list(range(5))
    assert {each.metadata.num_delivered for each in again} == {2}


async def test_server_that_says_nothing_is_noticed(connection: Client, nats_server: Nats) -> None:
    assert nats_server.process is not None
    async with Pull(connection, "BOOKS", "reader") as pull:
        with frozen(nats_server.process.pid), pytest.raises(Silent):
            await pull.fetch(10, 0.3)


async def test_deleted_consumer_is_noticed(connection: Client) -> None:
    async with Pull(connection, "BOOKS", "reader") as pull:
        fetching = asyncio.create_task(pull.fetch(10, 30))
        await asyncio.sleep(0.2)
        await connection.jetstream().delete_consumer("BOOKS", "reader")

        with pytest.raises(Ended):
            await asyncio.wait_for(fetching, 5)
        with pytest.raises(Ended):
            await asyncio.wait_for(pull.fetch(10, 30), 5)
