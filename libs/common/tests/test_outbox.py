"""A change and its event commit together, and the event arrives once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from nats.errors import Error as NatsError
from tests.parts import PASSWORD

from pulse_common import audit, events, outbox
from pulse_common.bus import Bus
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("svc_provision_api"), name="test", max_connections=3)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
async def bus(nats_server: Nats) -> AsyncIterator[Bus]:
    bus = await Bus.connect(url=nats_server.url, user="test", password=PASSWORD, service="x")
    await bus.ensure_stream(events.STREAM_EVENTS)
    yield bus
    await bus.close()


def created(tenant: TenantId) -> events.DeviceCreated:
    return events.DeviceCreated(
        tenant_id=tenant,
        at=system_clock(),
        device_id=uuid4(),
        name="lamp",
    )


async def reconnected(bus: Bus) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                return await bus.check()
            except (Unavailable, NatsError, OSError):
                await asyncio.sleep(0.1)


async def stored(bus: Bus) -> int:
    return (await bus.jetstream.stream_info(events.STREAM_EVENTS)).state.messages


@pytest.fixture
def clean_outbox(superuser: psycopg.Connection) -> None:
    superuser.execute("DELETE FROM outbox")


@pytest.mark.usefixtures("clean_outbox")
async def test_committed_event_is_published_once(database: Database, bus: Bus) -> None:
    tenant = TenantId(uuid4())
    event = created(tenant)
    async with database.tenant_connection(tenant) as tx:
        await outbox.emit(tx, event)
    relay = outbox.Relay(database, bus)

    sent = [await relay.relay_once(), await relay.relay_once()]

    assert sent == [1, 0]
    message = await bus.jetstream.get_last_msg(events.STREAM_EVENTS, event.subject)
    assert events.DeviceCreated.model_validate_json(message.data or b"") == event


@pytest.mark.usefixtures("clean_outbox")
async def test_bulk_waits_for_what_is_written_after_it_and_keeps_its_order(
    database: Database, bus: Bus
) -> None:
    tenant = TenantId(uuid4())
    many = [created(tenant) for _ in range(outbox.BATCH + 1)]
    urgent = events.DeviceDisabled(tenant_id=tenant, at=system_clock(), device_id=uuid4())
    async with database.tenant_connection(tenant) as tx:
        await outbox.emit_all(tx, many, bulk=True)
        await outbox.emit(tx, urgent)
    relay = outbox.Relay(database, bus)

    sent = [await relay.relay_once() for _ in range(3)]

    assert sent == [outbox.BATCH, 2, 0]
    stream = bus.jetstream
    told = [await stream.get_msg(events.STREAM_EVENTS, place + 1) for place in range(len(many) + 1)]
    assert told[0].subject == urgent.subject
    assert [events.DeviceCreated.model_validate_json(one.data or b"") for one in told[1:]] == many


@pytest.mark.usefixtures("clean_outbox")
async def test_rolled_back_change_has_no_event(database: Database, bus: Bus) -> None:
    tenant = TenantId(uuid4())
    with pytest.raises(RuntimeError):
        async with database.tenant_connection(tenant) as tx:
            await outbox.emit(tx, created(tenant))
            raise RuntimeError

    assert await outbox.Relay(database, bus).relay_once() == 0


@pytest.mark.usefixtures("clean_outbox")
async def test_event_waits_for_the_bus(database: Database, bus: Bus, nats_server: Nats) -> None:
    tenant = TenantId(uuid4())
    async with database.tenant_connection(tenant) as tx:
        await outbox.emit(tx, created(tenant))
    relay = outbox.Relay(database, bus)
    nats_server.kill()
    with pytest.raises(Unavailable):
        await relay.relay_once()
    nats_server.start()
    await reconnected(bus)

    assert await relay.relay_once() == 1
    assert await stored(bus) == 1


@pytest.mark.usefixtures("clean_outbox")
async def test_service_relays_only_its_own_events(
    database: Database, bus: Bus, postgres: Postgres
) -> None:
    tenant = TenantId(uuid4())
    async with database.tenant_connection(tenant) as tx:
        await outbox.emit(tx, created(tenant))
    other = Database(postgres.url("svc_ui_iot"), name="other")
    await other.open()

    try:
        assert await outbox.Relay(other, bus).relay_once() == 0
    finally:
        await other.close()


async def test_audit_row_belongs_to_the_transactions_tenant(
    database: Database, superuser: psycopg.Connection
) -> None:
    tenant = TenantId(uuid4())
    act = audit.Act(
        actor_kind="user",
        actor_id="alice",
        action="device.create",
        object_kind="device",
        object_id=str(uuid4()),
        details={"name": "lamp"},
    )
    async with database.tenant_connection(tenant) as tx:
        await audit.record(tx, act)

    row = superuser.execute(
        "SELECT tenant_id, service, details FROM audit_log WHERE object_id = %s", [act.object_id]
    ).fetchone()
    assert row == (UUID(str(tenant)), "svc_provision_api", {"name": "lamp"})


@pytest.mark.parametrize(
    "statement",
    ["UPDATE audit_log SET actor_id = 'x'", "DELETE FROM audit_log", "TRUNCATE audit_log"],
)
async def test_audit_log_cannot_be_changed(
    postgres: Postgres, superuser: psycopg.Connection, statement: str
) -> None:
    roles = superuser.execute(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'pulse\\_%%' AND rolname <> 'pulse_owner'"
    ).fetchall()
    privilege = statement.split(maxsplit=1)[0]

    holders = [
        role
        for (role,) in roles
        if superuser.execute(
            "SELECT has_table_privilege(%s, 'audit_log', %s)", [role, privilege]
        ).fetchone()
        == (True,)
    ]

    assert holders == []
