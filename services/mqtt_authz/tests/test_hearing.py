"""An event ends trust on every replica within a moment, and a break in the connection ends all of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.mqtt_authz.tests.conftest import asking, body_for, make_gate
from tests.parts import PASSWORD

from mqtt_authz.hearing import DEAF_AFTER_SECONDS, Hearing, concerned
from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.clock import system_clock
from pulse_common.events_profiles import DeviceProfileChanged

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from services.mqtt_authz.tests.conftest import Enrol
    from services.mqtt_authz.tests.revocation_world import World
    from tests.parts import Nats

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio
DEVICE, ISSUER, TENANT = uuid4(), uuid4(), uuid4()


@pytest.fixture
async def bus(nats_server: Nats) -> AsyncIterator[Bus]:
    connected = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="mqtt_authz"
    )
    await connected.ensure_stream(events.STREAM_EVENTS)
    yield connected
    await connected.close()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not condition():  # noqa: ASYNC110 -- what it waits for comes over the network
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("subject", "fields", "expected"),
    [
        ("pulse.events.cert.revoked", {"tenant_id": TENANT, "device_id": DEVICE}, DEVICE),
        ("pulse.events.device.disabled", {"tenant_id": TENANT, "device_id": DEVICE}, DEVICE),
        ("pulse.events.tenant.suspended", {"tenant_id": TENANT}, TENANT),
        ("pulse.events.issuer.revoked", {"tenant_id": TENANT, "issuer_id": ISSUER}, ISSUER),
        ("pulse.events.cert.something_new", {"tenant_id": TENANT}, None),
        ("pulse.events.device.disabled", {"device_id": "x"}, None),
    ],
)
def test_event_says_whom_it_concerns_or_everybody(
    subject: str, fields: dict[str, object], expected: UUID | None
) -> None:
    data = str({key: str(value) for key, value in fields.items()}).replace("'", '"').encode()

    assert concerned(subject, data) == expected


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"5", b"null", b"\xff", b"[" * 100_000])
def test_event_that_cannot_be_read_concerns_everybody(data: bytes) -> None:
    assert concerned("pulse.events.cert.revoked", data) is None


async def test_revoked_device_is_refused_as_soon_as_the_event_is_out(
    bus: Bus, world: World, database: Database, enrol: Enrol
) -> None:
    hearing = Hearing(bus)
    gate = make_gate(database, hearing.stretch)
    await hearing.listen(gate.standings, lambda: None)
    enrolled = enrol()
    async with asking(gate) as broker:
        first = await broker.ask("mqtt-auth", body_for(enrolled))
        again = await broker.ask("mqtt-auth", body_for(enrolled))
        remembered = len(gate.standings)
        event = world.revoke(enrolled)
        await bus.publish_stored(event.subject, event.to_bytes(), message_id=str(uuid4()))
        await bus.check()
        await asyncio.sleep(0.05)
        last = await broker.ask("mqtt-auth", body_for(enrolled))

    assert [first["result"], again["result"], last["result"]] == ["allow", "allow", "deny"]
    assert remembered == 1


async def test_event_that_was_missed_during_a_restart_of_nats_lets_nobody_in(
    bus: Bus, world: World, database: Database, enrol: Enrol, nats_server: Nats
) -> None:
    hearing = Hearing(bus)
    gate = make_gate(database, hearing.stretch)
    await hearing.listen(gate.standings, lambda: None)
    enrolled = enrol()
    async with asking(gate) as broker:
        await broker.ask("mqtt-auth", body_for(enrolled))
        nats_server.kill()
        await until(lambda: hearing.stretch() is None)
        world.revoke(enrolled)  # nobody here will ever hear of it
        deaf = await broker.ask("mqtt-auth", body_for(enrolled))
        nats_server.start()
        await until(lambda: bus.unbroken() is not None)
        await hearing.check()
        back = await broker.ask("mqtt-auth", body_for(enrolled))

    assert [deaf["result"], back["result"]] == ["deny", "deny"]


async def test_silence_of_the_server_is_deafness(bus: Bus) -> None:
    now = 100.0
    hearing = Hearing(bus, monotonic=lambda: now)
    before = hearing.stretch()
    await hearing.check()
    heard = hearing.stretch()
    now += DEAF_AFTER_SECONDS + 0.1

    assert (before, heard, hearing.stretch()) == (None, 0, None)


@pytest.mark.parametrize(
    "event",
    [
        events.TenantSuspended(tenant_id=TENANT, at=system_clock()),
        DeviceProfileChanged(
            tenant_id=TENANT, at=system_clock(), what="changed", profile_id=uuid4()
        ),
    ],
)
async def test_event_about_many_devices_is_told_on(
    bus: Bus, database: Database, event: events.Event
) -> None:
    told = asyncio.Event()
    hearing = Hearing(bus)
    gate = make_gate(database, hearing.stretch)
    await hearing.listen(gate.standings, told.set)
    await bus.publish_stored(event.subject, event.to_bytes(), message_id=str(uuid4()))

    async with asyncio.timeout(10):
        await told.wait()


async def test_ears_survive_every_restart_of_nats(bus: Bus, nats_server: Nats) -> None:
    hearing = Hearing(bus)
    running = asyncio.create_task(hearing.run())
    stretches = set()
    try:
        for _ in range(3):
            await until(lambda: hearing.stretch() is not None)
            stretches.add(hearing.stretch())
            asking = asyncio.create_task(hearing.check())  # one is under way when it dies
            nats_server.kill()
            await until(lambda: hearing.stretch() is None)
            nats_server.start()
            await asyncio.wait([asking])
            assert not asking.cancelled()
            assert asking.exception() is None
        await until(lambda: hearing.stretch() is not None)
        stretches.add(hearing.stretch())
        assert not running.done()
    finally:
        running.cancel()

    assert len(stretches) == 4
