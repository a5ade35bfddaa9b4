"""What a profile asks of readings: refused with the place, pushed when it changes, and of no other tenant's devices."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from services.ingest_worker.tests.test_writer import FakeMessage

from ingest_worker.domain import Inbound
from ingest_worker.letters import Letters
from ingest_worker.pipeline import Pipeline
from ingest_worker.schemas import Schemas
from pulse_common.clock import system_clock
from pulse_common.events import Reading, RefusedMessage
from pulse_common.events_profiles import DeviceProfileChanged
from pulse_common.messaging import Done
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

    from pulse_common.bus import Bus
    from pulse_common.events import MetricValue

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SCHEMA = {"properties": {"temp": {"type": "number", "maximum": 60}}, "required": ["temp"]}


@dataclass
class Rig:
    database: Database
    superuser: psycopg.Connection
    seconds: float = 0.0

    def schemas(self) -> Schemas:
        return Schemas(self.database, monotonic=lambda: self.seconds)

    def device(self, tenant: UUID, profile: UUID | None) -> UUID:
        device = uuid4()
        self.superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name, profile_id) VALUES (%s, %s, 'x', %s)",
            [tenant, device, profile],
        )
        return device

    def profile(self, schema: dict[str, Any] | None = None) -> tuple[UUID, UUID]:
        tenant, profile = uuid4(), uuid4()
        self.superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'x')", [tenant])
        self.superuser.execute(
            "INSERT INTO device_profiles (tenant_id, profile_id, name, telemetry_schema)"
            " VALUES (%s, %s, 'Meter', %s)",
            [tenant, profile, json.dumps(SCHEMA if schema is None else schema)],
        )
        return tenant, profile


@pytest.fixture
async def rig(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[Rig]:
    database = Database(postgres.url("svc_ingest_worker"), name="test")
    await database.open()
    yield Rig(database, superuser)
    await database.close()


def reading(tenant: UUID, device: UUID, **metrics: MetricValue) -> Reading:
    return Reading(
        tenant_id=tenant,
        device_id=device,
        message_id=uuid4(),
        ts=NOON,
        received_at=NOON,
        metrics=metrics,
    )


async def test_the_first_wrong_reading_of_a_batch_is_named_with_its_place(rig: Rig) -> None:
    tenant, profile = rig.profile()
    device = rig.device(tenant, profile)
    schemas = rig.schemas()
    good, hot = reading(tenant, device, temp=20.0), reading(tenant, device, temp=61.0)

    assert await schemas.wrong([good]) is None
    said = await schemas.wrong([good, hot, reading(tenant, device, temp="no")])

    assert said is not None
    assert said.startswith("/metrics/temp: 61")
    missing = await schemas.wrong([reading(tenant, device, load=1.0)])
    assert missing is not None
    assert "temp" in missing


async def test_a_device_without_the_profile_is_asked_nothing(rig: Rig) -> None:
    tenant, _ = rig.profile()
    other, _ = rig.profile()
    schemas = rig.schemas()

    for owner in (tenant, other):
        device = rig.device(owner, None)
        assert await schemas.wrong([reading(owner, device, temp="no")]) is None


async def test_another_tenants_device_of_the_same_id_is_not_judged_by_it(rig: Rig) -> None:
    tenant, profile = rig.profile()
    device = rig.device(tenant, profile)
    other, _ = rig.profile()
    schemas = rig.schemas()

    assert await schemas.wrong([reading(tenant, device, temp="no")]) is not None
    assert await schemas.wrong([reading(other, device, temp="no")]) is None


async def test_a_change_holds_as_soon_as_it_is_pushed_and_within_a_minute_anyway(rig: Rig) -> None:
    tenant, profile = rig.profile()
    device, later = rig.device(tenant, profile), rig.device(tenant, None)
    told, untold = rig.schemas(), rig.schemas()
    wrong, loose = reading(tenant, device, temp=61.0), reading(tenant, later, temp=99.0)
    for each in (told, untold):
        assert await each.wrong([wrong]) is not None
        assert await each.wrong([loose]) is None
    rig.superuser.execute(
        "UPDATE device_profiles SET telemetry_schema = %s WHERE profile_id = %s",
        [json.dumps({"properties": {"temp": {"maximum": 70}}}), profile],
    )
    rig.superuser.execute(
        "UPDATE devices SET profile_id = %s WHERE device_id = %s", [profile, later]
    )
    for event in (
        DeviceProfileChanged(tenant_id=tenant, at=NOON, what="changed", profile_id=profile),
        DeviceProfileChanged(
            tenant_id=tenant, at=NOON, what="assigned", profile_id=profile, device_id=later
        ),
    ):
        await told.on_message(event.subject, event.to_bytes())

    assert await told.wrong([wrong]) is None
    assert await told.wrong([loose]) is not None
    assert await untold.wrong([wrong]) is not None
    rig.seconds += 60
    assert await untold.wrong([wrong]) is None
    assert await untold.wrong([loose]) is not None


async def test_while_the_database_is_away_what_is_known_holds(rig: Rig) -> None:
    tenant, profile = rig.profile()
    device = rig.device(tenant, profile)
    schemas, blind = rig.schemas(), rig.schemas()
    wrong = [reading(tenant, device, temp=61.0)]
    assert await schemas.wrong(wrong) is not None
    await rig.database.close()
    rig.seconds += 600

    assert await schemas.wrong(wrong) is not None
    assert await blind.wrong(wrong) is None


async def test_a_schema_that_compiles_no_more_refuses_nothing(rig: Rig) -> None:
    tenant, profile = rig.profile({"$ref": "https://example.org/schema"})
    device = rig.device(tenant, profile)

    assert await rig.schemas().wrong([reading(tenant, device, temp="no")]) is None


async def test_what_is_wrong_becomes_a_dead_letter_that_says_where(
    rig: Rig, bus: Bus, superuser: psycopg.Connection
) -> None:
    tenant, profile = rig.profile()
    device = rig.device(tenant, profile)
    pipeline = Pipeline(bus, schemas=rig.schemas())
    now = system_clock()

    for temp in (20, 61):
        said = json.dumps({"metrics": {"temp": temp}}).encode()
        topic = f"tenant/{tenant}/device/{device}/telemetry"
        await pipeline.process(Inbound(topic=topic, payload=said, received_at=now))

    kept = await bus.jetstream.get_last_msg("REFUSED", f"pulse.refused.{tenant}")
    letter = RefusedMessage.model_validate_json(kept.data or b"")
    assert letter.reason == "schema"
    outcomes = await Letters(rig.database).keep_batch([FakeMessage(letter.to_bytes())])
    assert outcomes == [Done()]
    rows = superuser.execute(
        "SELECT reason, detail FROM refused_messages WHERE tenant_id = %s", [tenant]
    ).fetchall()
    assert [reason for reason, _ in rows] == ["schema"]
    assert rows[0][1].startswith("/metrics/temp: 61")
