"""What the broker reads is what is watched."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx2
import pytest
from services.cert_worker.tests.conftest import BASE_URL, HeldClock

from cert_worker.prober import Prober
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    from services.cert_worker.tests.conftest import FreshDatabase, Service

    from cert_worker.domain import ShardId

pytestmark = pytest.mark.anyio


@dataclass
class World:
    """What answers at the lists' addresses."""

    content: dict[str, bytes] = field(default_factory=dict)
    status: int = 200

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if str(request.url) not in self.content:
            raise httpx2.ConnectError("nobody there")
        return httpx2.Response(self.status, content=self.content[str(request.url)])


@pytest.fixture
def shard(service: Service) -> ShardId:
    return min(service.publisher.lists)


@pytest.fixture
def world(service: Service) -> World:
    lists = service.publisher.lists
    return World({service.publisher.url(shard): one.pem for shard, one in lists.items()})


@pytest.fixture
async def prober(service: Service, world: World, clock: HeldClock) -> AsyncIterator[Prober]:
    async with httpx2.AsyncClient(transport=httpx2.MockTransport(world)) as http:
        yield Prober(database=service.database, publisher=service.publisher, http=http, clock=clock)


async def test_stale_list_at_its_address_is_red_though_the_one_here_is_fresh(
    service: Service, prober: Prober, shard: ShardId, clock: HeldClock
) -> None:
    assert await prober.probe(shard)
    clock.move(timedelta(hours=23))
    await service.publisher.follow()
    await service.publisher.check()

    assert await prober.probe(shard)  # a cache answers with yesterday's

    with pytest.raises(Unavailable, match=BASE_URL):
        await prober.check()


async def test_fresh_list_turns_it_green_again(
    service: Service, prober: Prober, world: World, shard: ShardId, clock: HeldClock
) -> None:
    await prober.probe(shard)
    clock.move(timedelta(hours=23))
    await service.publisher.follow()
    world.content[service.publisher.url(shard)] = service.publisher.lists[shard].pem

    await prober.probe(shard)

    await prober.check()


async def test_address_that_can_not_be_reached_is_not_red_by_itself(
    prober: Prober, world: World, shard: ShardId
) -> None:
    world.content.clear()

    assert not await prober.probe(shard)

    await prober.check()


async def test_what_was_met_is_written_down_for_operators(
    prober: Prober, world: World, shard: ShardId, clock: HeldClock, fresh: FreshDatabase
) -> None:
    def written() -> tuple[datetime, str]:
        with fresh.connect() as rows:
            found = rows.execute(
                "SELECT probed_at, probe_outcome FROM crl_shards WHERE issuer_id = %s AND shard = %s",
                [shard.issuer_id, shard.shard],
            ).fetchone()
        assert found is not None
        return found[0], str(found[1])

    await prober.probe(shard)
    good = written()
    clock.move(timedelta(minutes=5))
    world.content.clear()
    await prober.probe(shard)

    assert good == (clock() - timedelta(minutes=5), "good")
    assert written() == (clock(), "unreachable")


async def test_list_of_another_shard_or_no_list_is_not_usable(
    service: Service, prober: Prober, world: World, shard: ShardId
) -> None:
    other = max(service.publisher.lists)
    for content in (service.publisher.lists[other].pem, b"<html>", b""):
        world.content[service.publisher.url(shard)] = content
        assert not await prober.probe(shard)
    world.content[service.publisher.url(shard)] = service.publisher.lists[shard].pem
    world.status = 404
    assert not await prober.probe(shard)
