"""An ordered route keeps each device's order: under retries, with several replicas, and across one that is lost."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections import defaultdict
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.delivery_worker.tests.conftest import messages, running, until_true
from services.delivery_worker.tests.endpoints import Endpoint, serving

from delivery_worker import domain
from delivery_worker.turns import Turns

if TYPE_CHECKING:
    from services.delivery_worker.tests.conftest import Engine
    from services.delivery_worker.tests.endpoints import Received
    from tests.parts import Nats, Postgres

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(90)]


def first_seen(endpoint: Endpoint) -> dict[str, list[int]]:
    """Return the numbers of each device in the order in which they were first accepted."""
    seen: dict[str, list[int]] = defaultdict(list)
    for got in endpoint.accepted:
        data = json.loads(got.body)["data"]
        if data["metrics"]["n"] not in seen[data["device_id"]]:
            seen[data["device_id"]].append(data["metrics"]["n"])
    return dict(seen)


async def publish_all(engine: Engine, devices: list[UUID], count: int) -> None:
    """Publish as fast as can be: each device's own numbers in order."""
    for number in range(count):
        await asyncio.gather(*(engine.publish(device, n=number) for device in devices))


async def test_each_device_keeps_its_order_though_every_third_attempt_fails(
    engine: Engine,
    postgres: Postgres,
    nats_server: Nats,
    tenant: UUID,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(domain, "RETRY_SECONDS", (0.05,) * 7)
    monkeypatch.setattr(domain, "BREAKER_FAILURES", 1000)
    devices = [uuid4() for _ in range(5)]
    attempt = itertools.count(1)

    def answer(_: Received) -> int:
        return 503 if next(attempt) % 3 == 0 else 200

    async with serving(Endpoint(answers=answer)) as endpoint:
        await engine.route(endpoint.url, ordered=True)
        async with running(postgres, nats_server, tenant):
            await publish_all(engine, devices, 12)
            await until_true(lambda: len(messages(endpoint)) > 20, 30)
        await until_true(lambda: sum(map(len, first_seen(endpoint).values())) == 60, 60)

        assert first_seen(endpoint) == {str(device): list(range(12)) for device in devices}
        assert len(messages(endpoint)) > 60


async def test_work_is_one_replicas_at_a_time_and_goes_on_when_it_stops(engine: Engine) -> None:
    at_work: list[str] = []

    def work(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202 -- a coroutine function
        async def forever() -> None:
            at_work.append(name)
            try:
                await asyncio.sleep(3600)
            finally:
                at_work.remove(name)

        return forever

    first = asyncio.create_task(Turns(db=engine.db).run("a test", work("first")))
    await until_true(lambda: at_work == ["first"])
    second = asyncio.create_task(Turns(db=engine.db).run("a test", work("second")))
    await asyncio.sleep(3)
    assert at_work == ["first"]

    first.cancel()

    await until_true(lambda: at_work == ["second"], 4)
    second.cancel()
    await asyncio.wait([first, second])


async def test_turn_that_was_lost_is_worked_on_no_longer(engine: Engine) -> None:
    at_work: list[str] = []

    async def forever() -> None:
        at_work.append("x")
        try:
            await asyncio.sleep(3600)
        finally:
            at_work.clear()

    holder = asyncio.create_task(Turns(db=engine.db).run("another test", forever))
    await until_true(lambda: at_work)
    async with engine.db.service_connection("pulse_delivery") as tx:
        await tx.execute(
            "UPDATE delivery_turns SET holder = %(other)s, until = now() + interval '1 minute'"
            " WHERE name = 'another test'",
            {"other": uuid4()},
        )

    await until_true(lambda: not at_work, 4)
    holder.cancel()
    await asyncio.wait([holder])
