"""One list for all replicas, always fresh, its number never going back."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY
from services.cert_worker.tests.conftest import (
    HeldClock,
    listed,
    make_publisher,
    revoke_request,
    sign_request,
)

from pulse_common.errors import Unavailable
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from services.cert_worker.tests.conftest import FreshDatabase, Service

    from cert_worker.authority import Authorities
    from cert_worker.crl import Crl
    from cert_worker.publisher import CrlPublisher

pytestmark = pytest.mark.anyio


@pytest.fixture
async def replica(
    fresh: FreshDatabase, authorities: Authorities, clock: HeldClock
) -> AsyncIterator[CrlPublisher]:
    database = Database(fresh.url, name="second replica")
    await database.open()
    yield make_publisher(database, authorities, clock)
    await database.close()


async def revoke_one(service: Service, fresh: FreshDatabase) -> str:
    tenant_id, device_id = fresh.add_device()
    issued = await service.signing.sign(sign_request(tenant_id, device_id))
    await service.revoking.revoke(revoke_request(tenant_id, device_id))
    return issued.serial_number


def serials(publisher: CrlPublisher) -> set[str]:
    return set().union(*(listed(publisher, shard) for shard in publisher.lists))


def first_of(publisher: CrlPublisher) -> Crl:
    return publisher.lists[min(publisher.lists)]


async def wait_until_listed(publisher: CrlPublisher, serial: str) -> None:
    async with asyncio.timeout(10):
        while serial not in serials(publisher):  # noqa: ASYNC110 -- seen from outside, as a reader sees it
            await asyncio.sleep(0.02)


async def test_revocation_is_listed_without_waiting_for_the_hour(
    service: Service, fresh: FreshDatabase
) -> None:
    running = asyncio.create_task(service.publisher.run())

    serial = await revoke_one(service, fresh)

    await wait_until_listed(service.publisher, serial)
    running.cancel()


async def test_replicas_serve_the_same_bytes(
    service: Service, replica: CrlPublisher, fresh: FreshDatabase
) -> None:
    await replica.follow()
    assert replica.lists == service.publisher.lists
    serial = await revoke_one(service, fresh)
    await service.publisher.publish()

    await replica.follow()

    assert serial in serials(replica)
    assert replica.lists == service.publisher.lists


async def test_replicas_that_publish_at_once_take_numbers_of_their_own(
    service: Service, replica: CrlPublisher
) -> None:
    first = first_of(service.publisher).number

    await asyncio.gather(*(p.publish() for p in (service.publisher, replica) * 4))

    assert max(first_of(service.publisher).number, first_of(replica).number) == first + 8


async def test_hourly_list_is_made_by_one_replica_alone(
    service: Service, replica: CrlPublisher, clock: HeldClock
) -> None:
    first = first_of(service.publisher).number
    clock.move(timedelta(minutes=59))
    await service.publisher.follow()
    assert first_of(service.publisher).number == first
    clock.move(timedelta(minutes=1))

    await asyncio.gather(service.publisher.follow(), replica.follow())

    assert service.publisher.lists == replica.lists
    assert first_of(service.publisher).number == first + 1
    assert first_of(service.publisher).this_update == clock().replace(microsecond=0)


async def test_clock_that_was_set_back_does_not_make_an_older_list(
    service: Service, clock: HeldClock
) -> None:
    before = first_of(service.publisher)
    clock.move(-timedelta(days=2))

    await service.publisher.publish()

    assert first_of(service.publisher).number == before.number + 1
    assert first_of(service.publisher).this_update == before.this_update


async def test_expired_certificate_stays_listed_for_one_more_lifetime_of_a_list(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    serial = await revoke_one(service, fresh)
    clock.move(timedelta(days=90, minutes=1))

    # The first list after its expiry, one that comes much later (the service was away), and one when both are stale.
    await service.publisher.publish()
    assert serial in serials(service.publisher)
    clock.move(timedelta(days=3))
    await service.publisher.publish()
    assert serial in serials(service.publisher)
    await service.publisher.publish()
    assert serial not in serials(service.publisher)


async def test_certificates_are_issued_while_a_list_is_being_made(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()
    with fresh.connect() as rows, rows.transaction():
        rows.execute("SELECT FROM crl_shards FOR NO KEY UPDATE")

        async with asyncio.timeout(5):
            await service.signing.sign(sign_request(tenant_id, device_id))


async def test_readiness_is_red_without_a_list_and_before_it_goes_stale(
    service: Service, replica: CrlPublisher, clock: HeldClock
) -> None:
    with pytest.raises(Unavailable):
        await replica.check()
    await service.publisher.check()
    clock.move(timedelta(hours=22, minutes=59))
    await service.publisher.check()
    clock.move(timedelta(minutes=1))

    with pytest.raises(Unavailable, match="about to expire"):
        await service.publisher.check()


async def test_number_and_date_are_measured(service: Service) -> None:
    current = first_of(service.publisher)

    assert REGISTRY.get_sample_value("pulse_crl_number") == current.number
    assert (
        REGISTRY.get_sample_value("pulse_crl_next_update_timestamp_seconds")
        == current.next_update.timestamp()
    )
