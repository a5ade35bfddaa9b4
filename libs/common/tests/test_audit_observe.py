"""Observed events reach the log once each, in order, whatever dies on the way."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from pulse_common import metrics
from pulse_common.audit import Act
from pulse_common.audit_observe import Observer
from pulse_common.audit_spool import SEGMENT_BYTES, Spool
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import psycopg
    from tests.parts import Postgres

    from pulse_common.tenancy import ServiceRole, Tx

pytestmark = pytest.mark.anyio

VICTIM = """
import sys
from pathlib import Path
from uuid import UUID
from pulse_common.audit import Act
from pulse_common.audit_observe import Observer
from pulse_common.audit_spool import Spool
from pulse_common.clock import system_clock

observer = Observer(None, Spool.open(Path(sys.argv[1])), clock=system_clock)
number = 0
while True:
    observer.observe(Act(actor_kind="user", actor_id="alice", action="page.view", object_kind="page",
                         object_id=str(number)), UUID(sys.argv[2]))
    print(number, flush=True)
    number += 1
"""


class Switched:
    """A database that a test takes away and brings back."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.away = False

    def service_connection(self, role: ServiceRole) -> AbstractAsyncContextManager[Tx]:
        return Away() if self.away else self.database.service_connection(role)


class Away(AbstractAsyncContextManager["Tx"]):
    async def __aenter__(self) -> Tx:
        raise Unavailable("the database is away")

    async def __aexit__(self, *_: object) -> None:
        return None


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Switched]:
    database = Database(postgres.url("svc_ui_iot"), name="test")
    await database.open()
    yield Switched(database)
    await database.close()


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    spool = Spool.open(tmp_path / "spool")
    yield spool
    spool.close()


def view(number: object, *, reason: str | None = None, user_agent: str | None = None) -> Act:
    return Act(
        actor_kind="user",
        actor_id="alice",
        action="page.view",
        object_kind="page",
        object_id=str(number),
        reason=reason,
        user_agent=user_agent,
    )


def logged(superuser: psycopg.Connection, tenant: UUID) -> list[str]:
    found = superuser.execute(
        "SELECT object_id FROM audit_log WHERE tenant_id = %s ORDER BY at, audit_id", [tenant]
    )
    return [str(row[0]) for row in found]


async def settled(superuser: psycopg.Connection, tenant: UUID, rows: int) -> None:
    while len(logged(superuser, tenant)) < rows:  # noqa: ASYNC110 -- the database tells nobody
        await asyncio.sleep(0.02)


def counted(state: str) -> float:
    return float(metrics.AUDIT_OBSERVED.labels(state)._value.get())


async def test_events_are_flushed_by_time(
    database: Switched, spool: Spool, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    observer = Observer(database, spool, clock=system_clock, flush_seconds=0.05)
    running = asyncio.create_task(observer.run())

    for number in range(5):
        observer.observe(view(number), tenant)
    await settled(superuser, tenant, 5)

    running.cancel()
    assert logged(superuser, tenant) == ["0", "1", "2", "3", "4"]
    assert spool.size == 0


async def test_events_are_flushed_by_size_before_their_time(
    database: Switched, spool: Spool, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    observer = Observer(database, spool, clock=system_clock, flush_seconds=3600, flush_rows=10)
    running = asyncio.create_task(observer.run())

    for number in range(10):
        observer.observe(view(number), tenant)
    await settled(superuser, tenant, 10)

    running.cancel()


async def test_an_outage_loses_nothing_and_keeps_the_order(
    database: Switched, spool: Spool, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    observer = Observer(database, spool, clock=system_clock)
    database.away = True
    spooled = counted("spooled")

    for number in range(3000):
        observer.observe(view(number), tenant)
        if number % 1000 == 0:
            assert not await observer.flush()
    assert not await observer.flush()
    database.away = False
    assert await observer.flush()

    assert logged(superuser, tenant) == [str(number) for number in range(3000)]
    assert counted("spooled") - spooled == 3000


async def test_kill_9_loses_nothing_that_was_observed(
    database: Switched, tmp_path: Path, superuser: psycopg.Connection
) -> None:
    tenant, base = uuid4(), tmp_path / "spool"
    with subprocess.Popen(
        [sys.executable, "-c", VICTIM, str(base), str(tenant)], stdout=subprocess.PIPE
    ) as victim:
        assert victim.stdout is not None
        for _ in range(500):
            victim.stdout.readline()
        victim.send_signal(signal.SIGKILL)
        rest = victim.stdout.read()

    told = 500 + rest.count(b"\n")
    spool = Spool.open(base)
    await Observer(database, spool, clock=system_clock).flush()
    spool.close()
    found = logged(superuser, tenant)
    # It may have died between keeping an event and telling of it, never the other way round.
    assert len(found) - told in {0, 1}
    assert found == [str(number) for number in range(len(found))]
    assert not any(path.is_dir() for path in base.iterdir())


async def test_replaying_what_was_flushed_already_adds_nothing(
    database: Switched, spool: Spool, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    observer = Observer(database, spool, clock=system_clock)
    observer.observe(view("once"), tenant)
    spool.close_segment()
    [segment] = spool.segments()
    content = segment.read_bytes()

    await observer.flush()
    spool.append(content)
    await observer.flush()

    assert logged(superuser, tenant) == ["once"]


async def test_a_torn_last_line_does_not_hold_up_the_others(
    database: Switched, tmp_path: Path, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    first = Spool.open(tmp_path)
    Observer(database, first, clock=system_clock).observe(view("whole"), tenant)
    first.append(b"half a li")
    first.close()

    second = Spool.open(tmp_path)
    assert await Observer(database, second, clock=system_clock).flush()

    assert logged(superuser, tenant) == ["whole"]
    second.close()


async def test_a_line_that_the_database_refuses_is_set_aside(
    database: Switched, tmp_path: Path, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    spool = Spool.open(tmp_path)
    observer = Observer(database, spool, clock=system_clock)
    observer.observe(view("before"), tenant)
    spool.append(b"not a row\n")
    observer.observe(view("after"), tenant)

    assert await observer.flush()

    assert logged(superuser, tenant) == ["before", "after"]
    assert (tmp_path / "rejected").read_bytes() == b"not a row\n"
    spool.close()


async def test_hostile_text_arrives_as_it_was_but_for_what_no_column_holds(
    database: Switched, spool: Spool, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    observer = Observer(database, spool, clock=system_clock)
    text = 'tab\t line\n return\r back\\slash \\N \\. quote" é 🙂'

    observer.observe(view(text, reason=text, user_agent=f"{text}\x00\udc80"), tenant)
    await observer.flush()

    assert superuser.execute(
        "SELECT object_id, reason, user_agent, address FROM audit_log WHERE tenant_id = %s",
        [tenant],
    ).fetchall() == [(text, text, f"{text}\ufffd?", None)]


async def test_only_a_full_spool_drops_and_it_is_counted(
    database: Switched, tmp_path: Path, superuser: psycopg.Connection
) -> None:
    tenant = uuid4()
    spool = Spool.open(tmp_path, most_bytes=2000)
    observer = Observer(database, spool, clock=system_clock)
    dropped = counted("dropped")

    for number in range(100):
        observer.observe(view(number), tenant)
    lost = counted("dropped") - dropped
    await observer.flush()

    assert lost > 0
    assert len(logged(superuser, tenant)) == 100 - lost
    spool.close()


def test_a_living_process_keeps_its_own_segments(tmp_path: Path) -> None:
    living = Spool.open(tmp_path)
    living.append(b"mine\n")
    living.close_segment()

    other = Spool.open(tmp_path)

    assert other.segments() == ()
    assert len(living.segments()) == 1
    other.close()
    living.close()


def test_segments_are_of_bounded_size(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path)

    for _ in range(30):
        spool.append(b"x" * (SEGMENT_BYTES // 10) + b"\n")
    spool.close_segment()

    assert len(spool.segments()) == 3
    spool.close()


async def test_observing_does_not_wait_for_the_database(database: Switched, spool: Spool) -> None:
    database.away = True
    observer = Observer(database, spool, clock=system_clock)

    began = time.perf_counter()
    for number in range(1000):
        observer.observe(view(number))
    took = time.perf_counter() - began

    # Thirty times what the benchmark allows: this one looks for a wait, not for a slow machine.
    assert took < 0.9
