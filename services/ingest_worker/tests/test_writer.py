"""What the writer leaves in a real PostgreSQL, whatever it is handed, and however often."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import psycopg.errors
import pytest

from ingest_worker.writer import Writer
from pulse_common.clock import system_clock
from pulse_common.events import Reading
from pulse_common.messaging import Done, Message, Never
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from conftest import Postgres

    from pulse_common.events import MetricValue

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class FakeMessage:
    data: bytes
    subject: str = "pulse.telemetry.t.d"
    deliveries: int = 1

    async def ack(self) -> None:
        raise AssertionError("the writer never acknowledges by itself")

    async def retry(self, seconds: float) -> None:
        raise AssertionError(f"nor retries ({seconds})")

    async def park(self, reason: str) -> None:
        raise AssertionError(f"nor parks ({reason})")


@dataclass(frozen=True, slots=True)
class Owner:
    tenant_id: UUID = field(default_factory=uuid4)
    device_id: UUID = field(default_factory=uuid4)

    def reading(
        self,
        ts: datetime = NOON,
        *,
        received_at: datetime | None = None,
        message_id: UUID | None = None,
        **metrics: MetricValue,
    ) -> Reading:
        return Reading(
            tenant_id=self.tenant_id,
            device_id=self.device_id,
            message_id=message_id or uuid4(),
            ts=ts,
            received_at=received_at or ts,
            metrics=metrics or {"temp": 21.5},
        )


@pytest.fixture
async def writer(postgres: Postgres) -> AsyncIterator[Writer]:
    database = Database(postgres.url("svc_ingest_worker"), name="test")
    await database.open()
    yield Writer(database, system_clock)
    await database.close()


@pytest.fixture
def owner(superuser: psycopg.Connection) -> Owner:
    made = Owner()
    add_device(superuser, made)
    return made


def add_device(superuser: psycopg.Connection, owner: Owner) -> None:
    superuser.execute(
        "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'x') ON CONFLICT DO NOTHING",
        [owner.tenant_id],
    )
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'x')",
        [owner.tenant_id, owner.device_id],
    )


def messages(*readings: Reading) -> list[Message]:
    return [FakeMessage(reading.to_bytes()) for reading in readings]


def rows(superuser: psycopg.Connection, owner: Owner) -> list[tuple[datetime, object]]:
    return superuser.execute(
        "SELECT ts, metrics FROM telemetry WHERE tenant_id = %s ORDER BY ts, message_id",
        [owner.tenant_id],
    ).fetchall()


def last_state(superuser: psycopg.Connection, owner: Owner) -> tuple[datetime, datetime, object]:
    row = superuser.execute(
        "SELECT ts, last_seen_at, metrics FROM device_last_state WHERE device_id = %s",
        [owner.device_id],
    ).fetchone()
    assert row is not None
    return row[0], row[1], row[2]


async def test_readings_are_stored_as_they_are(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    reading = owner.reading(temp=-0.1, tiny=5e-324, on=True, text='ß"\\\n漢')

    outcomes = await writer.store_batch(messages(reading))

    assert outcomes == [Done()]
    assert rows(superuser, owner) == [(NOON, reading.metrics)]


async def test_same_batch_twice_is_stored_once(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    batch = messages(*(owner.reading(NOON + timedelta(seconds=n), n=n) for n in range(50)))

    first = await writer.store_batch(batch)
    second = await writer.store_batch(batch)

    assert first == second == [Done()] * 50
    assert len(rows(superuser, owner)) == 50


async def test_same_reading_twice_in_a_batch_is_stored_once(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    reading = owner.reading()

    outcomes = await writer.store_batch(messages(reading, reading))

    assert outcomes == [Done(), Done()]
    assert len(rows(superuser, owner)) == 1


def counts(superuser: psycopg.Connection, owner: Owner) -> dict[str, int]:
    """Return what the tenant is to pay for, by day."""
    found = superuser.execute(
        "SELECT day::text, amount FROM billing_usage WHERE tenant_id = %s AND metric = 'messages'",
        [owner.tenant_id],
    ).fetchall()
    return dict(found)


async def test_messages_are_counted_with_what_is_stored_by_the_day_of_their_time(
    writer: Writer, superuser: psycopg.Connection, owner: Owner
) -> None:
    midnight = NOON.replace(hour=0)
    batch = messages(*(owner.reading(midnight + timedelta(seconds=n)) for n in range(-2, 3)))
    await writer.store_batch(batch)
    await writer.store_batch(batch + messages(owner.reading(midnight + timedelta(seconds=9))))

    assert counts(superuser, owner) == {"2026-02-28": 2, "2026-03-01": 4}


async def test_what_is_not_stored_is_not_counted(
    writer: Writer, superuser: psycopg.Connection, owner: Owner
) -> None:
    stranger = Owner(tenant_id=owner.tenant_id)
    await writer.store_batch(messages(owner.reading(), stranger.reading()))

    assert counts(superuser, owner) == {"2026-03-01": 1}


async def test_writers_of_the_same_tenants_count_all_and_never_lock_each_other_out(
    writer: Writer, superuser: psycopg.Connection
) -> None:
    owners = [Owner() for _ in range(20)]
    for each in owners:
        add_device(superuser, each)

    async def store(order: list[Owner]) -> None:
        for _ in range(5):
            await writer.store_batch(messages(*(each.reading() for each in order)))

    await asyncio.gather(*(store(order) for order in [owners, owners[::-1]] * 4))

    assert [counts(superuser, each) for each in owners] == [{"2026-03-01": 40}] * 20


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE billing_usage SET metered = 0",
        "DELETE FROM billing_usage",
        "INSERT INTO billing_usage (tenant_id, metric, day, amount) VALUES (%s, 'device_months', '2026-03-01', 1)",
    ],
)
async def test_the_counter_of_messages_is_all_of_a_bill_that_this_service_may_write(
    writer: Writer, postgres: Postgres, owner: Owner, statement: str
) -> None:
    with psycopg.connect(postgres.url("svc_ingest_worker")) as connection:
        connection.execute("SET ROLE pulse_ingest")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement, [owner.tenant_id] if "%s" in statement else None)


async def test_last_state_is_the_newest_by_the_devices_time(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    newest = owner.reading(NOON, received_at=NOON + timedelta(seconds=1), n=2)
    older = owner.reading(NOON - timedelta(hours=1), received_at=NOON + timedelta(seconds=9), n=1)

    await writer.store_batch(messages(newest, older))

    assert last_state(superuser, owner) == (NOON, NOON + timedelta(seconds=9), {"n": 2})


async def test_last_state_never_goes_back(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    newest = owner.reading(NOON, n=2)
    await writer.store_batch(messages(newest))

    await writer.store_batch(messages(owner.reading(NOON - timedelta(hours=1), n=1)))
    after_older = last_state(superuser, owner)
    await writer.store_batch(
        messages(owner.reading(NOON - timedelta(hours=1), received_at=NOON + timedelta(hours=1)))
    )
    after_backfill = last_state(superuser, owner)
    await writer.store_batch(messages(newest))

    assert after_older == (NOON, NOON, {"n": 2})
    assert after_backfill == (NOON, NOON + timedelta(hours=1), {"n": 2})
    assert last_state(superuser, owner) == after_backfill


async def test_unknown_device_does_not_hold_up_the_others(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    stranger = Owner()

    outcomes = await writer.store_batch(messages(stranger.reading(), owner.reading()))

    assert outcomes == [Done(), Done()]
    assert rows(superuser, stranger) == []
    letters = superuser.execute(
        "SELECT reason FROM refused_messages WHERE device_id = %s", [stranger.device_id]
    ).fetchall()
    assert letters == [("unknown_device",)]
    assert len(rows(superuser, owner)) == 1


async def test_device_of_another_tenant_is_unknown(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    neighbour = Owner()
    add_device(superuser, neighbour)
    forged = Owner(tenant_id=neighbour.tenant_id, device_id=owner.device_id)

    outcomes = await writer.store_batch(messages(forged.reading()))

    assert outcomes == [Done()]
    assert rows(superuser, forged) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"tenant_id": 1}',
        Owner().reading(text="a\x00b").to_bytes(),
        Owner().reading(ts=datetime(2026, 1, 1), received_at=NOON).to_bytes(),  # noqa: DTZ001
    ],
)
async def test_unreadable_message_does_not_hold_up_the_others(
    writer: Writer, owner: Owner, superuser: psycopg.Connection, data: bytes
) -> None:
    batch = [FakeMessage(data), *messages(owner.reading())]

    outcomes = await writer.store_batch(batch)

    assert isinstance(outcomes[0], Never)
    assert outcomes[1] == Done()
    assert len(rows(superuser, owner)) == 1


async def test_batch_of_nothing_readable_touches_nothing(writer: Writer) -> None:
    assert await writer.store_batch([FakeMessage(b"{")]) == [Never("not a reading")]


async def test_days_are_prepared_as_often_as_wanted(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    await writer.prepare_days()
    await writer.prepare_days()
    now = system_clock()

    await writer.store_batch(messages(owner.reading(now), owner.reading(now + timedelta(days=7))))

    found = superuser.execute(
        "SELECT tableoid::regclass::text FROM telemetry WHERE tenant_id = %s", [owner.tenant_id]
    ).fetchall()
    assert len(found) == 2
    assert "telemetry_default" not in {name for (name,) in found}


async def test_readings_end_with_their_tenants_plan_and_empty_days_go(
    writer: Writer, owner: Owner, superuser: psycopg.Connection
) -> None:
    keeper = Owner()
    add_device(superuser, keeper)
    superuser.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, retention_days, hard_limits, features,"
        " cause, applied_at) VALUES (%s, 1, 'free', 'full', 7, true, '{}', 'test', now())",
        [owner.tenant_id],
    )
    now = system_clock()
    for days in (8, 20, 21):
        add_day(superuser, now - timedelta(days=days))
    old, older = now - timedelta(days=8), now - timedelta(days=20)
    await writer.store_batch(messages(owner.reading(now), owner.reading(old)))
    await writer.store_batch(messages(owner.reading(older), keeper.reading(older)))

    await writer.forget_old_days()

    assert [ts for ts, _ in rows(superuser, owner)] == [now]
    assert [ts for ts, _ in rows(superuser, keeper)] == [older]
    assert day_names(superuser, [8, 20, 21]) == [day_name(20)]


def day_name(days_ago: int) -> str:
    return f"telemetry_{system_clock() - timedelta(days=days_ago):%Y%m%d}"


def day_names(superuser: psycopg.Connection, days_ago: list[int]) -> list[str]:
    found = superuser.execute(
        "SELECT relname FROM pg_class WHERE relname = ANY (%s) ORDER BY relname",
        [[day_name(days) for days in days_ago]],
    ).fetchall()
    return [str(row[0]) for row in found]


def add_day(superuser: psycopg.Connection, at: datetime) -> None:
    """Make a day's partition as the migrations' own function does for days to come."""
    day = at.date()
    with superuser.transaction():
        superuser.execute("SET LOCAL ROLE pulse_owner")
        superuser.execute(
            f"CREATE TABLE telemetry_{day:%Y%m%d} PARTITION OF telemetry"
            f" FOR VALUES FROM ('{day}Z') TO ('{day + timedelta(days=1)}Z')"
        )
        # A service that starts meanwhile looks at every table.
        superuser.execute(f"ALTER TABLE telemetry_{day:%Y%m%d} ENABLE ROW LEVEL SECURITY")
        superuser.execute(f"ALTER TABLE telemetry_{day:%Y%m%d} FORCE ROW LEVEL SECURITY")
        superuser.execute(
            f"CREATE POLICY tenant_isolation ON telemetry_{day:%Y%m%d} TO pulse_app"
            " USING (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)"
            " WITH CHECK (tenant_id = nullif((SELECT current_setting('app.tenant_id', true)), '')::uuid)"
        )
