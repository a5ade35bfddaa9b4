"""Publishes and their acknowledgements: what is answered, what never is, and what nobody waits for any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import nats
import nats.js.errors
import pytest
from tests.parts import PASSWORD, frozen

from pulse_common.acknowledged import Acknowledged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from nats.aio.client import Client
    from tests.parts import Nats

pytestmark = pytest.mark.anyio


@pytest.fixture
async def connection(nats_server: Nats) -> AsyncIterator[Client]:
    connection = await nats.connect(nats_server.url, user="test", password=PASSWORD)
    await connection.jetstream().add_stream(name="BOOKS", subjects=["books.*"], max_msg_size=100)
    yield connection
    await connection.close()


async def test_each_publish_hears_its_own_answer(connection: Client) -> None:
    publisher = Acknowledged(connection, 5)

    places = await asyncio.gather(
        *(publisher.publish(f"books.{n}", b"x", {"Nats-Msg-Id": str(n)}) for n in range(500))
    )

    for n in (0, 250, 499):
        stored = await connection.jetstream().get_msg("BOOKS", places[n])
        assert stored.subject == f"books.{n}"


async def test_refusal_of_one_is_nobody_elses(connection: Client) -> None:
    publisher = Acknowledged(connection, 5)

    large, small = await asyncio.gather(
        publisher.publish("books.large", b"x" * 200, {}),
        publisher.publish("books.small", b"x", {}),
        return_exceptions=True,
    )

    assert isinstance(large, nats.js.errors.APIError)
    assert not isinstance(small, BaseException)


async def test_acknowledgement_that_does_not_come_is_given_up(
    connection: Client, nats_server: Nats
) -> None:
    publisher = Acknowledged(connection, 0.5)

    assert nats_server.process is not None
    began = asyncio.get_running_loop().time()
    with frozen(nats_server.process.pid), pytest.raises(TimeoutError):
        await asyncio.wait_for(publisher.publish("books.lost", b"x", {}), 10)

    assert asyncio.get_running_loop().time() - began < 5

    assert publisher.pending == 0


async def test_whoever_no_longer_waits_leaves_nothing_behind(
    connection: Client, nats_server: Nats
) -> None:
    publisher = Acknowledged(connection, 30)

    assert nats_server.process is not None
    with frozen(nats_server.process.pid):
        waiting = asyncio.create_task(publisher.publish("books.left", b"x", {}))
        await asyncio.sleep(0.1)
        waiting.cancel()
        await asyncio.wait([waiting])

    assert waiting.cancelled()
    assert publisher.pending == 0


async def test_stream_that_is_not_there_is_told_at_once(connection: Client) -> None:
    publisher = Acknowledged(connection, 30)

    with pytest.raises(nats.js.errors.NoStreamResponseError):
        await asyncio.wait_for(publisher.publish("nobody.listens", b"x", {}), 5)
