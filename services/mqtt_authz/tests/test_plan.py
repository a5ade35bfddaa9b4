"""A plan that became smaller keeps its newest devices from connecting: told to the tenant, late, and cutting nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.mqtt_authz.tests.conftest import asking, body_for, counted, make_gate

from mqtt_authz.broker import Session
from mqtt_authz.session_store import find_unwelcome
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from uuid import UUID

    import psycopg
    from services.mqtt_authz.tests.conftest import Broker, Enrol, Enrolled

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


def include(sql: psycopg.Connection, tenant: UUID, devices: int | None, since: str) -> None:
    """Give a tenant a plan of so many devices, as billing would have done so long ago."""
    sql.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, hard_limits, features, cause,"
        " applied_at) VALUES (%(tenant)s, 1, 'free', 'read_only', %(devices)s, true, '{}', 'test',"
        " now() - %(since)s::interval)"
        " ON CONFLICT (tenant_id) DO UPDATE SET devices = excluded.devices, applied_at = excluded.applied_at",
        {"tenant": tenant, "devices": devices, "since": since},
    )


def fleet(enrol: Enrol, sql: psycopg.Connection, size: int) -> list[Enrolled]:
    """Enrol devices of one tenant; the first is the oldest."""
    first = enrol()
    devices = [first, *(enrol(first.tenant) for _ in range(size - 1))]
    for age, one in enumerate(reversed(devices)):
        sql.execute(
            "UPDATE devices SET created_at = now() - make_interval(days => %s) WHERE device_id = %s",
            [age, one.device],
        )
    return devices


async def verdicts(broker: Broker, devices: list[Enrolled]) -> list[str]:
    return [(await broker.ask("mqtt-auth", body_for(one)))["result"] for one in devices]


async def test_plan_includes_the_oldest_devices_and_the_tenant_reads_why(
    broker: Broker, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    devices = fleet(enrol, superuser, 4)
    include(superuser, devices[0].tenant, 2, "73 hours")
    before = counted("mqtt-auth", "beyond_plan")

    answers = await verdicts(broker, devices)
    await broker.gate.denials.flush()

    assert answers == ["allow", "allow", "deny", "deny"]
    assert counted("mqtt-auth", "beyond_plan") == before + 2
    rows = superuser.execute(
        "SELECT device_id, reason FROM broker_denials WHERE tenant_id = %s ORDER BY at",
        [devices[0].tenant],
    ).fetchall()
    assert rows == [(one.device, "beyond_plan") for one in devices[2:]]


@pytest.mark.parametrize(
    ("included", "since"),
    [
        pytest.param(1, "71 hours", id="too young to be sure that it is no mistake"),
        pytest.param(None, "73 hours", id="no limit"),
        pytest.param(3, "73 hours", id="just enough"),
    ],
)
async def test_everybody_gets_in_otherwise(
    broker: Broker,
    enrol: Enrol,
    superuser: psycopg.Connection,
    included: int | None,
    since: str,
) -> None:
    devices = fleet(enrol, superuser, 3)
    include(superuser, devices[0].tenant, included, since)

    assert await verdicts(broker, devices) == ["allow"] * 3


async def test_tenant_that_billing_knows_nothing_of_has_no_limit(
    broker: Broker, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    assert await verdicts(broker, fleet(enrol, superuser, 3)) == ["allow"] * 3


async def test_disabled_device_takes_nobodys_place_and_a_larger_plan_counts_at_once(
    database: Database, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    devices = fleet(enrol, superuser, 3)
    include(superuser, devices[0].tenant, 1, "73 hours")

    async with asking(make_gate(database, lambda: 1)) as broker:
        small = await verdicts(broker, devices)
        superuser.execute(
            "UPDATE devices SET status = 'disabled' WHERE device_id = %s", [devices[0].device]
        )
        freed = await verdicts(broker, devices[1:])
        include(superuser, devices[0].tenant, 50, "0 hours")
        larger = await verdicts(broker, devices[1:])

    assert (small, freed, larger) == (
        ["allow", "deny", "deny"],
        ["allow", "deny"],
        ["allow", "allow"],
    )


async def test_connected_device_is_never_cut_by_a_plan(
    database: Database, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    devices = fleet(enrol, superuser, 3)
    include(superuser, devices[0].tenant, 0, "1 year")
    sessions = [Session(one.device, one.serial_number) for one in devices]

    async with database.service_connection("pulse_authz") as tx:
        assert await find_unwelcome(tx, sessions, system_clock()) == []
