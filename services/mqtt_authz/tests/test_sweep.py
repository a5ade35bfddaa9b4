"""What no event names, or came too late for one, is found by comparing the broker with the database."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from services.mqtt_authz.tests.conftest import set_issuers

from mqtt_authz.broker import BrokerFailed
from mqtt_authz.sweep import Sweep
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    import psycopg
    from services.mqtt_authz.tests.conftest import Enrol, Enrolled
    from services.mqtt_authz.tests.revocation_world import World

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def sweep(world: World, database: Database) -> Sweep:
    return Sweep(
        database=database, broker=world.broker, revocation=world.worker, clock=system_clock
    )


async def test_device_that_may_connect_is_left_alone(
    world: World, sweep: Sweep, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)

    assert await sweep.cut_unwelcome() == 0
    assert world.broker.held == {enrolled.device}
    assert "ban" not in world.broker.calls


async def test_session_that_registered_after_the_cut_was_confirmed_is_found_and_silenced(
    world: World, sweep: Sweep, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    await world.hear(world.revoke(enrolled))
    world.broker.connect(enrolled)  # allowed a moment before the revocation, registered now

    assert await sweep.cut_unwelcome() == 1
    assert world.broker.held == set()
    assert world.broker.retained == set()
    assert world.broker.wills_published == []
    assert world.audited(enrolled) == ["session.cut", "session.cut"]


@pytest.mark.parametrize("status", ["revoked", "retired"])
async def test_devices_of_an_issuer_that_counts_no_more_are_cut(
    world: World, sweep: Sweep, enrol: Enrol, status: str
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    set_issuers(world.sql, status)
    try:
        assert await sweep.cut_unwelcome() == 1
    finally:
        set_issuers(world.sql, "active")
    assert world.broker.held == set()


async def test_devices_of_a_suspended_tenant_are_cut_and_keep_what_they_left(
    world: World, sweep: Sweep, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    suspend(world, enrolled)

    assert await sweep.cut_unwelcome() == 1
    assert world.broker.held == set()
    assert len(world.broker.retained) == 1


def suspend(world: World, enrolled: Enrolled) -> None:
    world.sql.execute(
        "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [enrolled.tenant]
    )


async def test_session_of_the_old_certificate_is_told_from_one_of_its_successor(
    world: World, sweep: Sweep, enrol: Enrol
) -> None:
    old = enrol()
    new = enrol(old.tenant, old.device)
    world.revoke(old)
    world.broker.connect(old)

    world.broker.serials[old.device] = new.serial_number
    assert await sweep.cut_unwelcome() == 0

    world.broker.serials[old.device] = old.serial_number
    assert await sweep.cut_unwelcome() == 1
    assert world.broker.banned == set()  # its successor may come


async def test_ban_is_lifted_when_the_device_may_connect_again(
    world: World, sweep: Sweep, enrol: Enrol
) -> None:
    back, out = enrol(), enrol()
    await world.hear(world.disable(back))
    await world.hear(world.disable(out))
    world.sql.execute("UPDATE devices SET status = 'active' WHERE device_id = %s", [back.device])

    assert await sweep.lift_bans() == 1
    assert world.broker.banned == {out.device}


async def test_trouble_of_the_broker_is_waited_out(
    world: World, sweep: Sweep, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    suspend(world, enrolled)
    world.broker.failing = {"list": 1, "kick": 1}
    with pytest.raises(BrokerFailed):
        await sweep.cut_unwelcome()
    running = asyncio.create_task(sweep.run())
    try:
        async with asyncio.timeout(10):
            while world.broker.held:
                await asyncio.sleep(0.05)
                sweep.soon()
    finally:
        running.cancel()

    assert world.broker.held == set()


async def test_device_that_another_replica_is_at_is_left_to_it(
    world: World, sweep: Sweep, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    suspend(world, enrolled)
    lock = "hashtextextended('pulse.broker_session.' || %s::uuid::text, 0)"
    superuser.execute(f"SELECT pg_advisory_lock({lock})".encode(), [enrolled.device])
    try:
        assert await sweep.cut_unwelcome() == 0
    finally:
        superuser.execute(f"SELECT pg_advisory_unlock({lock})".encode(), [enrolled.device])
