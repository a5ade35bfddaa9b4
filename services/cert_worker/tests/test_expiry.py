"""Expiries are told of at each threshold, once, whatever restarts and however many replicas look."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from services.cert_worker.tests.conftest import HeldClock, revoke_request, sign_request

from cert_worker.expiry import Expiry

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, Service

pytestmark = pytest.mark.anyio

LIFETIME_DAYS = 90


def look(service: Service, clock: HeldClock) -> Expiry:
    """Make a replica that has just started."""
    return Expiry(database=service.database, authorities=service.authorities, clock=clock)


def told(service: Service, subject: str = "pulse.events.cert.expiring") -> list[tuple[object, ...]]:
    return service.fetch(
        "SELECT (payload ->> 'days')::int FROM outbox WHERE subject = %s ORDER BY 1 DESC",
        subject,
    )


async def test_each_threshold_is_told_once_through_restarts(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    await service.signing.sign(sign_request(*fresh.add_device()))

    assert await look(service, clock).warn() == 0
    for left in (30, 20, 14, 7, 3, 1):
        clock.move(_until(clock, left))
        await look(service, clock).warn()
        await look(service, clock).warn()

    assert told(service) == [(30,), (14,), (7,), (1,)]


async def test_replicas_that_look_at_once_tell_once(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    for _ in range(5):
        await service.signing.sign(sign_request(*fresh.add_device()))
    clock.move(_until(clock, 7))

    warned = await asyncio.gather(*(look(service, clock).warn() for _ in range(3)))

    assert sum(warned) == 5
    assert told(service) == [(7,)] * 5


async def test_late_look_tells_of_the_nearest_threshold_only(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    await service.signing.sign(sign_request(*fresh.add_device()))
    clock.move(_until(clock, 5))

    await look(service, clock).warn()

    assert told(service) == [(7,)]


async def test_renewed_revoked_and_disabled_are_not_told_of(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    renewed, revoked, disabled = fresh.add_device(), fresh.add_device(), fresh.add_device()
    for one in (renewed, revoked, disabled):
        await service.signing.sign(sign_request(*one))
    clock.move(_until(clock, 10))
    await service.signing.sign(sign_request(*renewed))
    await service.revoking.revoke(revoke_request(*revoked))
    service.rows.execute(
        "UPDATE devices SET status = 'disabled' WHERE device_id = %s", disabled[1:]
    )

    assert await look(service, clock).warn() == 0


async def test_issuers_expiry_is_told_of_to_the_platform(
    service: Service, clock: HeldClock
) -> None:
    issuing = service.authority.issuing.certificate
    clock.now = issuing.not_valid_after_utc - timedelta(days=6)

    await look(service, clock).warn()
    await look(service, clock).warn()

    assert told(service, "pulse.events.issuer.expiring") == [(7,)]


def _until(clock: HeldClock, left: int) -> timedelta:
    """Say how far it is from now to when certificates of the clock's first day have ``left`` days left."""
    end = HeldClock().now + timedelta(days=LIFETIME_DAYS - left)
    return end - clock.now
