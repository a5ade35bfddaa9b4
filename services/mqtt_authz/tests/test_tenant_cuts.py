"""A suspended tenant's devices are cut off together, and come back together; nobody else's are touched."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.mqtt_authz.tests.revocation_world import FakeBroker, Heard

from mqtt_authz.tenant_cuts import TenantCuts
from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.messaging import Done, Later, Never
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    import psycopg
    from services.mqtt_authz.tests.conftest import Enrol
    from tests.parts import Postgres

    from pulse_common.messaging import Outcome

pytestmark = pytest.mark.anyio


@pytest.fixture
def broker() -> FakeBroker:
    return FakeBroker()


@pytest.fixture
async def cuts(postgres: Postgres, broker: FakeBroker) -> AsyncIterator[TenantCuts]:
    database = Database(postgres.url("svc_mqtt_authz"), name="test", max_connections=2)
    await database.open()
    yield TenantCuts(database=database, broker=broker, clock=system_clock)
    await database.close()


def set_status(superuser: psycopg.Connection, tenant: UUID, status: str) -> None:
    superuser.execute("UPDATE tenants SET status = %s WHERE tenant_id = %s", [status, tenant])


async def suspended(cuts: TenantCuts, tenant: UUID) -> Outcome:
    event = events.TenantSuspended(tenant_id=tenant, at=system_clock())
    return await cuts.handle(Heard(event))


async def resumed(cuts: TenantCuts, tenant: UUID) -> Outcome:
    return await cuts.handle(Heard(events.TenantResumed(tenant_id=tenant, at=system_clock())))


async def test_every_session_of_the_tenant_is_cut_without_a_will_and_nothing_is_deleted(
    cuts: TenantCuts, broker: FakeBroker, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    own = [enrol(tenant) for _ in range(3)]
    other = enrol()
    for device in (*own, other):
        broker.connect(device)
    retained = set(broker.retained)
    set_status(superuser, tenant, "suspended")

    outcome = await suspended(cuts, tenant)

    assert outcome == Done()
    assert broker.held == {other.device}
    assert broker.wills_published == []
    assert broker.retained == retained
    recorded = superuser.execute(
        "SELECT details ->> 'devices' FROM audit_log WHERE tenant_id = %s AND action = 'session.cut'",
        [tenant],
    ).fetchall()
    assert recorded == [("3",)]


async def test_resuming_lets_in_those_that_may_connect(
    cuts: TenantCuts, broker: FakeBroker, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    good, disabled = enrol(tenant), enrol(tenant)
    superuser.execute(
        "UPDATE devices SET status = 'disabled' WHERE device_id = %s", [disabled.device]
    )
    broker.banned |= {good.device, disabled.device}

    outcome = await resumed(cuts, tenant)

    assert outcome == Done()
    assert broker.banned == {disabled.device}


@pytest.mark.parametrize("status", ["suspended", "deleting"])
async def test_late_word_of_a_resumption_opens_nothing(
    cuts: TenantCuts,
    broker: FakeBroker,
    enrol: Enrol,
    superuser: psycopg.Connection,
    status: str,
) -> None:
    device = enrol()
    broker.banned.add(device.device)
    superuser.execute(
        "UPDATE tenants SET status = %s, purge_after = CASE %s WHEN 'deleting' THEN now() END"
        " WHERE tenant_id = %s",
        [status, status, device.tenant],
    )

    await resumed(cuts, device.tenant)

    assert broker.banned == {device.device}


async def test_late_word_of_a_suspension_cuts_nothing(
    cuts: TenantCuts, broker: FakeBroker, enrol: Enrol
) -> None:
    device = enrol()
    broker.connect(device)

    await suspended(cuts, device.tenant)

    assert broker.held == {device.device}


@pytest.mark.parametrize("what", ["ban", "kick", "confirm"])
async def test_anything_short_of_a_confirmation_is_tried_again(
    cuts: TenantCuts, broker: FakeBroker, enrol: Enrol, superuser: psycopg.Connection, what: str
) -> None:
    device = enrol()
    broker.connect(device)
    broker.failing[what] = 1
    set_status(superuser, device.tenant, "suspended")

    first = await suspended(cuts, device.tenant)
    second = await suspended(cuts, device.tenant)

    assert isinstance(first, Later)
    assert second == Done()
    assert broker.held == set()


async def test_what_is_no_event_of_ours_is_parked(cuts: TenantCuts) -> None:
    outcome = await cuts.handle(Heard(None, subject=events.TenantSuspended.subject, data=b"{"))

    assert isinstance(outcome, Never)
