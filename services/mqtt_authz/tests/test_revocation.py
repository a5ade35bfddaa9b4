"""Revoked means silent: the order of the calls, every failure on the way, and the record that it was done."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from conftest import PASSWORD
from prometheus_client import REGISTRY

from mqtt_authz.app import CONSUMER
from mqtt_authz.broker import BrokerFailed
from mqtt_authz.revocation import Revocation
from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.clock import system_clock
from pulse_common.consume import consume
from pulse_common.messaging import Done, Later, Never, Outcome
from pulse_common.outbox import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from uuid import UUID

    import psycopg
    from conftest import Nats
    from nats.js import JetStreamContext
    from services.mqtt_authz.tests.conftest import Enrol, Enrolled

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio

ORDER = ["ban", "drop_cache", "kick", "purge", "confirm"]


@dataclass
class FakeBroker:
    """A broker in memory: one session a device, a will that only a ban silences, and failures on demand."""

    calls: list[str] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    banned: set[UUID] = field(default_factory=set)
    sessions: set[UUID] = field(default_factory=set)
    stubborn: int = 0
    retained: set[str] = field(default_factory=set)
    wills_published: list[UUID] = field(default_factory=list)

    def connect(self, enrolled: Enrolled) -> None:
        self.sessions.add(enrolled.device)
        self.retained.add(f"tenant/{enrolled.tenant}/device/{enrolled.device}/state")

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if self.failing.get(name, 0):
            self.failing[name] -= 1
            raise BrokerFailed(f"{name} failed")

    async def ban(self, device: UUID, why: str) -> None:
        self._called("ban")
        self.banned.add(device)

    async def unban(self, device: UUID) -> bool:
        self._called("unban")
        was = device in self.banned
        self.banned.discard(device)
        return was

    async def drop_authorization_cache(self, device: UUID) -> None:
        self._called("drop_cache")

    async def kick(self, device: UUID) -> None:
        self._called("kick")
        if device in self.sessions and device not in self.banned:
            self.wills_published.append(device)
        if self.stubborn:
            self.stubborn -= 1
            return
        self.sessions.discard(device)

    async def purge_retained(self, topics: Sequence[str]) -> None:
        self._called("purge")
        self.retained -= set(topics)

    async def has_session(self, device: UUID) -> bool:
        self._called("confirm")
        return device in self.sessions


@dataclass
class Heard:
    """A message as a consumer hands it over."""

    event: events.Event | None
    deliveries: int = 1
    subject: str = ""
    data: bytes = b""

    def __post_init__(self) -> None:
        if self.event is not None:
            self.subject, self.data = self.event.subject, self.event.to_bytes()

    async def ack(self) -> None: ...
    async def retry(self, seconds: float) -> None: ...
    async def park(self, reason: str) -> None: ...


class World:
    """The database as the other services would leave it, and the worker under test."""

    def __init__(self, database: Database, superuser: psycopg.Connection) -> None:
        self.broker = FakeBroker()
        self.sql = superuser
        self.worker = Revocation(database=database, broker=self.broker, clock=system_clock)

    def revoke(self, enrolled: Enrolled) -> events.CertificateRevoked:
        row = self.sql.execute(
            "UPDATE certificates SET status = 'revoked', revoked_at = now(), revocation_reason = 'keyCompromise'"
            " WHERE certificate_id = %s RETURNING revoked_at, serial_number",
            [enrolled.certificate],
        ).fetchone()
        assert row is not None
        return events.CertificateRevoked(
            tenant_id=enrolled.tenant,
            at=row[0],
            device_id=enrolled.device,
            certificate_id=enrolled.certificate,
            serial_number=row[1],
            fingerprint_sha256="00",
            reason="keyCompromise",
            revoked_at=row[0],
        )

    def disable(self, enrolled: Enrolled) -> events.DeviceDisabled:
        self.sql.execute(
            "UPDATE devices SET status = 'disabled' WHERE device_id = %s", [enrolled.device]
        )
        return events.DeviceDisabled(
            tenant_id=enrolled.tenant, at=system_clock(), device_id=enrolled.device
        )

    def enrolled_event(self, enrolled: Enrolled) -> events.DeviceEnrolled:
        return events.DeviceEnrolled(
            tenant_id=enrolled.tenant,
            at=system_clock(),
            device_id=enrolled.device,
            certificate_id=enrolled.certificate,
            serial_number="1",
        )

    async def hear(self, event: events.Event, *, deliveries: int = 1) -> Outcome:
        self.broker.calls.clear()
        return await self.worker.handle(Heard(event, deliveries))

    def cut_at(self, enrolled: Enrolled) -> Any:  # noqa: ANN401 -- a moment or None
        row = self.sql.execute(
            "SELECT session_cut_at FROM certificates WHERE certificate_id = %s",
            [enrolled.certificate],
        ).fetchone()
        assert row is not None
        return row[0]

    def told(self, enrolled: Enrolled) -> list[dict[str, Any]]:
        rows = self.sql.execute(
            "SELECT payload FROM outbox WHERE tenant_id = %s AND subject = %s",
            [enrolled.tenant, events.SessionCut.subject],
        ).fetchall()
        return [row[0] for row in rows]

    def audited(self, enrolled: Enrolled) -> list[str]:
        rows = self.sql.execute(
            "SELECT action FROM audit_log WHERE tenant_id = %s AND service = 'svc_mqtt_authz' ORDER BY at",
            [enrolled.tenant],
        ).fetchall()
        return [row[0] for row in rows]


@pytest.fixture
def world(database: Database, superuser: psycopg.Connection) -> World:
    return World(database, superuser)


def silences() -> float:
    return REGISTRY.get_sample_value("pulse_mqtt_revocation_to_silence_seconds_count") or 0.0


async def test_revocation_silences_the_device_in_order_and_records_it(
    world: World, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    before = silences()

    outcome = await world.hear(world.revoke(enrolled))

    assert outcome == Done()
    assert world.broker.calls == ORDER
    assert world.broker.sessions == set()
    assert world.broker.retained == set()
    assert world.broker.banned == {enrolled.device}
    assert world.broker.wills_published == []
    assert world.cut_at(enrolled) is not None
    assert world.audited(enrolled) == ["session.cut"]
    (told,) = world.told(enrolled)
    assert told["device_id"] == str(enrolled.device)
    assert told["certificate_id"] == str(enrolled.certificate)
    assert 0 <= told["seconds"] < 30
    assert silences() == before + 1


@pytest.mark.parametrize("step", range(len(ORDER)), ids=ORDER)
async def test_failure_in_the_middle_records_nothing_and_is_repeated_from_the_start(
    world: World, enrol: Enrol, step: int
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    world.broker.failing = {ORDER[step]: 1}
    event = world.revoke(enrolled)

    failed = await world.hear(event)

    assert failed == Later(0.2, f"{ORDER[step]} failed")
    assert world.broker.calls == ORDER[: step + 1]
    assert world.cut_at(enrolled) is None
    assert (world.told(enrolled), world.audited(enrolled)) == ([], [])

    again = await world.hear(event, deliveries=2)

    assert again == Done()
    assert world.broker.calls == ORDER
    assert world.cut_at(enrolled) is not None
    assert world.broker.wills_published == []
    assert len(world.told(enrolled)) == 1


async def test_session_that_survives_the_kick_is_not_confirmed(world: World, enrol: Enrol) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    world.broker.stubborn = 1
    event = world.revoke(enrolled)

    outcome = await world.hear(event)

    assert isinstance(outcome, Later)
    assert world.cut_at(enrolled) is None
    assert await world.hear(event, deliveries=2) == Done()
    assert world.broker.sessions == set()


async def test_redelivery_after_the_confirmation_does_nothing(world: World, enrol: Enrol) -> None:
    enrolled = enrol()
    event = world.revoke(enrolled)
    await world.hear(event)

    assert await world.hear(event, deliveries=2) == Done()

    assert world.broker.calls == []
    assert len(world.told(enrolled)) == 1


async def test_device_that_was_never_connected_is_cut_all_the_same(
    world: World, enrol: Enrol
) -> None:
    enrolled = enrol()

    assert await world.hear(world.revoke(enrolled)) == Done()

    assert world.broker.calls == ORDER
    assert world.cut_at(enrolled) is not None


async def test_back_off_grows_and_stays_short(world: World, enrol: Enrol) -> None:
    event = world.revoke(enrol())
    world.broker.failing = {"ban": 9}

    delays = []
    for deliveries in (1, 2, 3, 6, 1000, 10**9):
        outcome = await world.hear(event, deliveries=deliveries)
        assert isinstance(outcome, Later)
        delays.append(outcome.seconds)

    assert delays == [0.2, 0.4, 0.8, 5.0, 5.0, 5.0]


async def test_disabling_cuts_the_session_and_marks_its_certificates(
    world: World, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    event = world.disable(enrolled)

    assert await world.hear(event) == Done()
    assert world.broker.calls == ORDER
    assert world.broker.banned == {enrolled.device}
    assert world.cut_at(enrolled) >= event.at
    assert [told["certificate_id"] for told in world.told(enrolled)] == [None]

    assert await world.hear(event, deliveries=2) == Done()
    assert world.broker.calls == []


async def test_revocation_after_an_earlier_cut_of_the_device_cuts_again(
    world: World, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    await world.hear(world.disable(enrolled))
    superuser.execute(
        "UPDATE devices SET status = 'active' WHERE device_id = %s", [enrolled.device]
    )

    assert await world.hear(world.revoke(enrolled)) == Done()

    assert world.broker.calls == ORDER


async def test_enrolling_again_lifts_the_ban(world: World, enrol: Enrol) -> None:
    first = enrol()
    await world.hear(world.revoke(first))
    second = enrol(first.tenant, first.device)

    assert await world.hear(world.enrolled_event(second)) == Done()

    assert world.broker.banned == set()
    assert world.audited(first) == ["session.cut", "device.readmit"]


async def test_enrolment_that_is_revoked_already_lifts_nothing(world: World, enrol: Enrol) -> None:
    first = enrol()
    await world.hear(world.revoke(first))
    second = enrol(first.tenant, first.device)
    late = world.enrolled_event(second)
    await world.hear(world.revoke(second))

    assert await world.hear(late) == Done()

    assert world.broker.calls == []
    assert world.broker.banned == {first.device}


async def test_late_revocation_of_the_old_certificate_does_not_lock_the_new_one_out(
    world: World, enrol: Enrol
) -> None:
    first = enrol()
    revoked = world.revoke(first)
    second = enrol(first.tenant, first.device)
    await world.hear(world.enrolled_event(second))

    assert await world.hear(revoked) == Done()

    assert world.broker.calls == [*ORDER, "unban"]
    assert world.broker.banned == set()


async def test_event_of_another_tenant_touches_nothing(world: World, enrol: Enrol) -> None:
    enrolled, other = enrol(), enrol()
    event = world.revoke(enrolled).model_copy(update={"tenant_id": other.tenant})

    assert await world.hear(event) == Done()

    assert world.broker.calls == []
    assert world.cut_at(enrolled) is None


async def test_event_of_a_valid_certificate_cuts_nobody(world: World, enrol: Enrol) -> None:
    enrolled, revoked = enrol(), enrol()
    event = world.revoke(revoked).model_copy(
        update={
            "tenant_id": enrolled.tenant,
            "device_id": enrolled.device,
            "certificate_id": enrolled.certificate,
        }
    )

    assert await world.hear(event) == Done()

    assert world.broker.calls == []


async def test_two_replicas_never_work_on_one_device_at_once(
    world: World, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    event = world.revoke(enrolled)
    with superuser.transaction():
        superuser.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('pulse.broker_session.' || %s::text, 0))",
            [enrolled.device],
        )
        waiting = await world.hear(event)

    assert isinstance(waiting, Later)
    assert world.broker.calls == []
    assert await world.hear(event) == Done()


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        (events.CertificateRevoked.subject, b"{}"),
        (events.CertificateRevoked.subject, b"not json"),
        (events.CertificateRevoked.subject, b"[" * 100_000),
        ("pulse.events.device.created", b"{}"),
    ],
)
async def test_message_that_is_no_event_of_ours_is_parked(
    world: World, subject: str, data: bytes
) -> None:
    assert isinstance(await world.worker.handle(Heard(None, 1, subject, data)), Never)


@contextlib.asynccontextmanager
async def consuming(bus: Bus, world: World, database: Database) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(consume(bus, CONSUMER, world.worker.handle)),
        asyncio.create_task(Relay(database, bus).run()),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- what it waits for is in the database
            await asyncio.sleep(0.02)


async def cut_of(device: UUID, cuts: JetStreamContext.PushSubscription) -> events.SessionCut:
    """Wait for one device's cut; the relay publishes those of earlier tests too."""
    while True:
        cut = events.SessionCut.model_validate_json((await cuts.next_msg(timeout=20)).data)
        if cut.device_id == device:
            return cut


async def test_event_from_nats_ends_in_a_confirmed_cut_although_the_broker_fails_first(
    world: World, database: Database, enrol: Enrol, nats_server: Nats
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    world.broker.failing = {"ban": 1, "kick": 2, "confirm": 1}
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="mqtt_authz"
    )
    try:
        for stream in (events.STREAM_EVENTS, events.STREAM_PARKED):
            await bus.ensure_stream(stream)
        cuts = await bus.jetstream.subscribe(events.SessionCut.subject)
        event = world.revoke(enrolled)
        async with consuming(bus, world, database):
            await bus.publish_stored(event.subject, event.to_bytes(), message_id="1")

            cut = await cut_of(enrolled.device, cuts)
    finally:
        await bus.close()

    assert cut.device_id == enrolled.device
    assert timedelta(seconds=cut.seconds) < timedelta(seconds=20)
    assert world.broker.sessions == set()
    assert world.broker.wills_published == []
    assert world.broker.calls[-5:] == ORDER
    assert len(world.told(enrolled)) == 1


async def test_revocation_is_carried_out_after_nats_was_killed(
    world: World, database: Database, enrol: Enrol, nats_server: Nats
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="mqtt_authz"
    )
    try:
        for stream in (events.STREAM_EVENTS, events.STREAM_PARKED):
            await bus.ensure_stream(stream)
        event = world.revoke(enrolled)
        world.broker.failing = {"kick": 3}
        async with consuming(bus, world, database):
            await bus.publish_stored(event.subject, event.to_bytes(), message_id="1")
            await until(lambda: "kick" in world.broker.calls)
            nats_server.kill()
            nats_server.start()

            await until(lambda: world.cut_at(enrolled) is not None)
    finally:
        await bus.close()

    assert world.broker.sessions == set()
