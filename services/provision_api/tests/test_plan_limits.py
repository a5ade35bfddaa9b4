"""A plan's number of devices cannot be exceeded, and an unpaid bill stops changes and nothing else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import pytest

from provision_api.enrolment import Caller, Enrolment
from provision_api.renaming import Renaming
from pulse_common.clock import system_clock
from pulse_common.errors import LimitReached
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio
CALLER = Caller(kind="user", id="alice")


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    yield database
    await database.close()


def enrolment(database: Database) -> Enrolment:
    return Enrolment(database, cast("Bus", Unreachable()), system_clock)


def tenant_with(
    superuser: psycopg.Connection, devices: int | None, access: str = "full"
) -> TenantId:
    tenant = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
    superuser.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, hard_limits, features,"
        " cause, applied_at) VALUES (%s, 1, 'free', %s, %s, true, '{}', 'test', now())",
        [tenant, access, devices],
    )
    return TenantId(tenant)


def count(superuser: psycopg.Connection, tenant: UUID) -> int:
    query = "SELECT count(*) FROM devices WHERE tenant_id = %s"
    row = superuser.execute(query, [tenant]).fetchone()
    assert row is not None
    return int(row[0])


async def test_devices_up_to_the_limit_are_made_and_the_next_is_refused_in_words(
    database: Database, superuser: psycopg.Connection
) -> None:
    tenant = tenant_with(superuser, 2)
    for _ in range(2):
        await enrolment(database).create_device(tenant, "Lamp", CALLER)

    with pytest.raises(LimitReached, match="your plan includes 2 devices, and 2 are in use"):
        await enrolment(database).create_device(tenant, "Lamp", CALLER)

    assert count(superuser, tenant) == 2


async def test_creations_at_once_cannot_exceed_the_limit(
    database: Database, superuser: psycopg.Connection
) -> None:
    tenant = tenant_with(superuser, 3)

    made = await asyncio.gather(
        *(enrolment(database).create_device(tenant, "Lamp", CALLER) for _ in range(10)),
        return_exceptions=True,
    )

    assert count(superuser, tenant) == 3
    assert sum(isinstance(each, LimitReached) for each in made) == 7


async def test_a_raised_limit_holds_for_the_very_next_device(
    database: Database, superuser: psycopg.Connection
) -> None:
    tenant = tenant_with(superuser, 0)
    with pytest.raises(LimitReached):
        await enrolment(database).create_device(tenant, "Lamp", CALLER)

    superuser.execute(
        "UPDATE billing_entitlements SET devices = NULL WHERE tenant_id = %s", [tenant]
    )

    await enrolment(database).create_device(tenant, "Lamp", CALLER)


@pytest.mark.parametrize(("access", "renames"), [("no_new_devices", True), ("read_only", False)])
async def test_an_unpaid_bill_stops_new_devices_first_and_every_change_later(
    database: Database, superuser: psycopg.Connection, access: str, *, renames: bool
) -> None:
    tenant = tenant_with(superuser, None)
    device = await enrolment(database).create_device(tenant, "Lamp", CALLER)
    superuser.execute(
        "UPDATE billing_entitlements SET access = %s WHERE tenant_id = %s", [access, tenant]
    )

    with pytest.raises(LimitReached, match="unpaid"):
        await enrolment(database).create_device(tenant, "Lamp", CALLER)

    rename = Renaming(db=database, clock=system_clock).rename(
        tenant, device.device_id, "Bulb", None, CALLER
    )

    if renames:
        assert (await rename).name == "Bulb"
    else:
        with pytest.raises(LimitReached, match="unpaid"):
            await rename
