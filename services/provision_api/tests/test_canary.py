"""The canary tenants are quiet while tenants are apart, and raise the alarm when a policy is broken."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY
from tests.parts import ROOT

from provision_api.canary import CANARIES, Canary
from pulse_common import migrations
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.parts import Postgres

pytestmark = pytest.mark.anyio

BREAKAGES = {
    "a second policy": (
        "CREATE POLICY wide ON devices FOR SELECT TO pulse_app USING (true)",
        "read devices",
    ),
    "a wide policy to write": (
        "ALTER POLICY tenant_isolation ON devices WITH CHECK (true)",
        "plant among theirs",
    ),
    "no row-level security": ("ALTER TABLE devices DISABLE ROW LEVEL SECURITY", "change theirs"),
    "a table of tomorrow": (
        "CREATE TABLE tomorrow AS SELECT gen_random_uuid() AS tenant_id; GRANT SELECT ON tomorrow TO pulse_app",
        "read tomorrow",
    ),
    "another table": ("ALTER TABLE tenants DISABLE ROW LEVEL SECURITY", "read tenants"),
}


@pytest.fixture
def own_copy(postgres: Postgres) -> Iterator[psycopg.Connection]:
    name = f"canary_{uuid4().hex}"
    with psycopg.connect(postgres.superuser.replace("/pulse", "/postgres"), autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name}")
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def database(postgres: Postgres, own_copy: psycopg.Connection) -> AsyncIterator[Database]:
    url = postgres.url("svc_provision_api").replace("/pulse", f"/{own_copy.info.dbname}")
    found = Database(url, name="test", max_connections=3)
    await found.open()
    yield found
    await found.close()


def probes(outcome: str) -> float:
    return REGISTRY.get_sample_value("pulse_canary_probes_total", {"outcome": outcome}) or 0.0


def breaches() -> float | None:
    return REGISTRY.get_sample_value("pulse_canary_breaches")


def audited(connection: psycopg.Connection) -> list[list[str]]:
    rows = connection.execute(
        "SELECT details -> 'acts' FROM audit_log WHERE action = 'isolation.breach' ORDER BY audit_id"
    )
    return [list(row[0]) for row in rows]


async def test_sound_database_holds(database: Database, own_copy: psycopg.Connection) -> None:
    before = probes("held")

    await Canary(database, every_seconds=60).probe()

    assert probes("held") == before + 1
    assert breaches() == 0
    assert audited(own_copy) == []
    assert own_copy.execute("SELECT count(*) FROM devices").fetchone() == (len(CANARIES),)


@pytest.mark.parametrize("breakage", BREAKAGES)
async def test_broken_policy_raises_the_alarm_and_leaves_no_trace_but_its_record(
    database: Database, own_copy: psycopg.Connection, breakage: str
) -> None:
    statement, act = BREAKAGES[breakage]
    canary = Canary(database, every_seconds=60)
    await canary.probe()
    rows = own_copy.execute("SELECT * FROM devices ORDER BY device_id").fetchall()
    before = probes("breached")

    own_copy.execute(statement.encode())
    await canary.probe()
    await canary.probe()

    assert probes("breached") == before + 2
    assert breaches()
    (record,) = audited(own_copy)  # once for one finding
    assert f"{CANARIES[0].name}: {act}" in record
    assert own_copy.execute("SELECT * FROM devices ORDER BY device_id").fetchall() == rows


async def test_canary_that_sees_nothing_proves_nothing(
    database: Database, own_copy: psycopg.Connection
) -> None:
    canary = Canary(database, every_seconds=60)
    await canary.probe()
    before = probes("held"), probes("failed")

    own_copy.execute("CREATE POLICY blind ON devices AS RESTRICTIVE TO pulse_app USING (false)")
    await canary.probe()

    assert (probes("held"), probes("failed")) == (before[0], before[1] + 1)


async def test_another_replica_at_it_is_left_alone(
    database: Database, own_copy: psycopg.Connection
) -> None:
    before = probes("held"), probes("failed")

    with own_copy.transaction():
        own_copy.execute("SELECT pg_advisory_xact_lock(hashtext('pulse.isolation.canary'))")
        await Canary(database, every_seconds=60).probe()

    assert (probes("held"), probes("failed")) == before
