"""A message that fails on an ordered route holds up its own device, within bounds, and nobody else."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.delivery_worker.tests.conftest import messages, running, until_true
from services.delivery_worker.tests.endpoints import Endpoint, serving
from services.delivery_worker.tests.test_order import first_seen

from delivery_worker import domain
from delivery_worker.lane import end

if TYPE_CHECKING:
    import psycopg
    from services.delivery_worker.tests.conftest import Engine
    from services.delivery_worker.tests.endpoints import Received
    from tests.parts import Nats, Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


class Choosy:
    """Refuses what comes from some devices."""

    def __init__(self, *refused: UUID) -> None:
        self.refused = set(refused)

    def __call__(self, got: Received) -> int:
        return 422 if UUID(json.loads(got.body)["data"]["device_id"]) in self.refused else 200


def tried(endpoint: Endpoint, device: UUID) -> list[int]:
    """Return the numbers of a device in the order in which they were tried."""
    found = [json.loads(got.body)["data"] for got in messages(endpoint)]
    return [data["metrics"]["n"] for data in found if data["device_id"] == str(device)]


def count(superuser: psycopg.Connection, table: str, route_id: UUID) -> int:
    query = f"SELECT count(*) FROM {table} WHERE route_id = %s"  # noqa: S608 -- a name of ours
    row = superuser.execute(query.encode(), [route_id]).fetchone()
    assert row is not None
    return int(row[0])


async def test_device_whose_message_fails_waits_alone_and_goes_on_in_its_order(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "RETRY_SECONDS", (1.5,) * 7)
    bad, good = uuid4(), uuid4()
    choosy = Choosy(bad)
    async with serving(Endpoint(answers=choosy)) as endpoint:
        made = await engine.route(endpoint.url, ordered=True)
        for number in range(6):
            await engine.publish(bad, n=number)
            await engine.publish(good, n=number)

        await until_true(lambda: first_seen(endpoint).get(str(good)) == list(range(6)))
        assert set(tried(endpoint, bad)) == {0}
        await until_true(lambda: count(superuser, "delivery_held", made.route_id) == 6)

        choosy.refused.clear()

        await until_true(lambda: first_seen(endpoint).get(str(bad)) == list(range(6)))
        await until_true(lambda: count(superuser, "delivery_held", made.route_id) == 0)


async def test_what_a_failing_device_sends_beyond_its_bound_is_dead_and_holds_nobody(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "MOST_HELD_OF_DEVICE", 2)
    monkeypatch.setattr(domain, "RETRY_SECONDS", (3600.0,) * 7)
    bad, good = uuid4(), uuid4()
    async with serving(Endpoint(answers=Choosy(bad))) as endpoint:
        made = await engine.route(endpoint.url, ordered=True)
        for number in range(5):
            await engine.publish(bad, n=number)
            await engine.publish(good, n=number)
        await until_true(lambda: first_seen(endpoint).get(str(good)) == list(range(5)))

        assert tried(endpoint, bad) == [0]
        assert count(superuser, "delivery_held", made.route_id) == 2
        assert count(superuser, "delivery_dead_letters", made.route_id) == 3


async def test_dead_endpoint_kills_nothing_beyond_the_bound_but_lets_it_wait(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "MOST_HELD_OF_DEVICE", 2)
    monkeypatch.setattr(domain, "RETRY_SECONDS", (2.0,) * 7)
    device = uuid4()
    choosy = Choosy(device)
    async with serving(Endpoint(answers=choosy)) as endpoint:
        made = await engine.route(endpoint.url, ordered=True)
        for number in range(6):
            await engine.publish(device, n=number)
        await until_true(lambda: count(superuser, "delivery_held", made.route_id) == 2)
        await asyncio.sleep(1.5)
        assert count(superuser, "delivery_dead_letters", made.route_id) == 0
        await until_true(lambda: engine.lanes.waiting_for(made.route_id) == 6)

        choosy.refused.clear()

        await until_true(lambda: first_seen(endpoint).get(str(device)) == list(range(6)), 30)
        assert count(superuser, "delivery_dead_letters", made.route_id) == 0


async def test_what_was_put_aside_outlives_its_replica(
    postgres: Postgres,
    nats_server: Nats,
    superuser: psycopg.Connection,
    tenant: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(domain, "RETRY_SECONDS", (4.0,) * 7)
    device = uuid4()
    choosy = Choosy(device)
    async with serving(Endpoint(answers=choosy)) as endpoint:
        async with running(postgres, nats_server, tenant) as first:
            made = await first.route(endpoint.url, ordered=True)
            for number in range(4):
                await first.publish(device, n=number)
            await until_true(lambda: count(superuser, "delivery_held", made.route_id) == 4)
        choosy.refused.clear()

        async with running(postgres, nats_server, tenant):
            await until_true(lambda: first_seen(endpoint).get(str(device)) == list(range(4)))
            await until_true(lambda: count(superuser, "delivery_held", made.route_id) == 0)

        assert tried(endpoint, device) == [0, 0, 1, 2, 3]


async def test_stopped_replica_leaves_what_it_had_claimed_to_others_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "RETRY_SECONDS", (0.05,) * 7)
    async with serving(Endpoint(answers=lambda _: 503)) as endpoint:
        await engine.route(endpoint.url, ordered=True)
        await engine.publish(uuid4(), n=1)
        await until_true(lambda: len(messages(endpoint)) == 1)
        endpoint.hangs = True
        await until_true(lambda: len(messages(endpoint)) == 2)

        endpoint.hangs, endpoint.answers = False, None
        await end(engine.lanes._open.values())

        await until_true(lambda: len(endpoint.accepted) == 1, 10)


async def test_endpoint_that_is_back_gets_what_was_put_aside_without_its_long_wait(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "RETRY_SECONDS", (3600.0,) * 7)
    monkeypatch.setattr(domain, "BREAKER_FAILURES", 2)
    monkeypatch.setattr(domain, "BREAKER_SECONDS", (0.5,))
    devices = [uuid4() for _ in range(4)]
    choosy = Choosy(*devices)
    async with serving(Endpoint(answers=choosy)) as endpoint:
        await engine.route(endpoint.url, ordered=True)
        for device in devices:
            await engine.publish(device, n=1)
        await until_true(lambda: len(messages(endpoint)) >= 5)

        choosy.refused.clear()

        await until_true(lambda: len(first_seen(endpoint)) == len(devices))


async def test_dead_message_lets_the_next_of_its_device_be_tried(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "RETRY_SECONDS", (0.1,) * 7)
    monkeypatch.setattr(domain, "MOST_ATTEMPTS", 2)
    device = uuid4()

    def answer(got: Received) -> int:
        return 422 if json.loads(got.body)["data"]["metrics"]["n"] == 0 else 200

    async with serving(Endpoint(answers=answer)) as endpoint:
        made = await engine.route(endpoint.url, ordered=True)
        await engine.publish(device, n=0)
        await engine.publish(device, n=1)

        await until_true(lambda: first_seen(endpoint).get(str(device)) == [1])
        assert tried(endpoint, device) == [0, 0, 1]
        assert count(superuser, "delivery_dead_letters", made.route_id) == 1
