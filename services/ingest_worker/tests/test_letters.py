"""Refused messages become their tenant's dead letters, the newest 1,000 of each, whoever else floods."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ingest_worker.tests.conftest import stored
from services.ingest_worker.tests.test_writer import FakeMessage

from ingest_worker.domain import Inbound
from ingest_worker.letters import Letters
from ingest_worker.pipeline import Pipeline
from pulse_common.clock import system_clock
from pulse_common.events import STREAM_REFUSED, RefusedMessage
from pulse_common.messaging import Done, Message, Never

if TYPE_CHECKING:
    import psycopg

    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio
NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def letter(tenant: UUID, *, after: int = 0, letter_id: UUID | None = None) -> Message:
    made = RefusedMessage(
        letter_id=letter_id or uuid4(),
        tenant_id=tenant,
        device_id=uuid4(),
        kind="telemetry",
        reason="not_json",
        received_at=NOON + timedelta(seconds=after),
        size_bytes=5,
        payload_base64="e29vcHM=",
    )
    return FakeMessage(made.to_bytes())


def count(superuser: psycopg.Connection, tenant: UUID) -> int:
    row = superuser.execute(
        "SELECT count(*) FROM refused_messages WHERE tenant_id = %s", [tenant]
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_flood_of_one_tenant_displaces_its_own_oldest_letters_only(
    database: Database, superuser: psycopg.Connection
) -> None:
    flooding, quiet = uuid4(), uuid4()
    letters = Letters(database)
    await letters.keep_batch([letter(quiet)])

    for start in range(0, 1200, 200):
        await letters.keep_batch([letter(flooding, after=start + n) for n in range(200)])

    assert count(superuser, quiet) == 1
    assert count(superuser, flooding) == 1000
    oldest = superuser.execute(
        "SELECT min(received_at) FROM refused_messages WHERE tenant_id = %s", [flooding]
    ).fetchone()
    assert oldest == (NOON + timedelta(seconds=200),)


async def test_flood_does_not_displace_others_on_its_way_either(bus: Bus) -> None:
    pipeline = Pipeline(bus)
    flooding, quiet = uuid4(), uuid4()

    await pipeline.process(nonsense(quiet, 0))
    for number in range(1010):
        await pipeline.process(nonsense(flooding, number))

    assert await stored(bus, STREAM_REFUSED) == 1001
    kept = await bus.jetstream.get_msg(STREAM_REFUSED, 1)
    assert kept.subject == f"pulse.refused.{quiet}"


def nonsense(tenant: UUID, number: int) -> Inbound:
    topic = f"tenant/{tenant}/device/{uuid4()}/telemetry"
    return Inbound(topic, b"{%d" % number, system_clock())


async def test_letter_that_comes_again_is_kept_once_and_shows_when_it_came_last(
    database: Database, superuser: psycopg.Connection
) -> None:
    tenant, letter_id = uuid4(), uuid4()
    letters = Letters(database)
    batch = [letter(tenant, letter_id=letter_id), letter(tenant, letter_id=letter_id, after=9)]

    outcomes = await letters.keep_batch([*batch, FakeMessage(b"{")])
    await letters.keep_batch(batch[:1])

    assert outcomes == [Done(), Done(), Never("not a refused message")]
    found = superuser.execute(
        "SELECT received_at, payload FROM refused_messages WHERE tenant_id = %s", [tenant]
    ).fetchall()
    assert found == [(NOON + timedelta(seconds=9), b"{oops")]
