"""The start-up check: what it asks, when it asks again, and what the migration runner keeps for it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from prometheus_client import REGISTRY
from tests.parts import ROOT

from pulse_common import migrations
from pulse_common.isolation import IsolationError, Watch, require, violations
from pulse_common.migrations import MigrationError
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from tests.parts import Postgres

pytestmark = pytest.mark.anyio


@pytest.fixture
def own_copy(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Make a database of the same schema that a test may break."""
    name = f"broken_{uuid4().hex}"
    with psycopg.connect(postgres.superuser.replace("/pulse", "/postgres"), autocommit=True) as c:
        c.execute(f"CREATE DATABASE {name}")
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def database(postgres: Postgres, own_copy: psycopg.Connection) -> AsyncIterator[Database]:
    url = postgres.url("svc_ui_iot").replace("/pulse", f"/{own_copy.info.dbname}")
    found = Database(url, name="test", max_connections=1)
    await found.open()
    yield found
    await found.close()


def reported() -> float | None:
    return REGISTRY.get_sample_value("pulse_isolation_violations")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("ALTER TABLE devices NO FORCE ROW LEVEL SECURITY", "devices does not FORCE"),
        ("CREATE TABLE stray (tenant_id uuid)", "stray has row-level security off"),
        ("GRANT DELETE ON devices TO pulse_app", "not declared .* pulse_app DELETE on devices"),
        (
            "GRANT SELECT (name) ON devices TO pulse_authz",
            r"pulse_authz SELECT on devices \(name\)",
        ),
    ],
)
async def test_each_breakage_is_named(
    database: Database, own_copy: psycopg.Connection, statement: str, fault: str
) -> None:
    own_copy.execute(statement.encode())

    with pytest.raises(IsolationError, match=fault):
        await require(database)


async def test_superuser_is_refused(postgres: Postgres) -> None:
    database = Database(postgres.superuser, name="test")
    await database.open()
    try:
        with pytest.raises(IsolationError, match=r"BYPASSRLS.*superuser"):
            await require(database)
    finally:
        await database.close()


async def test_empty_database_is_refused(postgres: Postgres) -> None:
    database = Database(postgres.url("svc_ui_iot").replace("/pulse", "/postgres"), name="test")
    await database.open()
    try:
        with pytest.raises(IsolationError, match=r"no tables.*no access is declared"):
            await require(database)
    finally:
        await database.close()


async def test_violation_turns_readiness_red_and_repair_green(
    database: Database, own_copy: psycopg.Connection
) -> None:
    watch = Watch(database)
    await watch.look()
    await watch.check()
    assert reported() == 0

    own_copy.execute("CREATE POLICY wide ON devices FOR SELECT TO pulse_app USING (true)")
    await watch.look()
    with pytest.raises(IsolationError, match="second permissive policy for pulse_app: wide"):
        await watch.check()
    assert reported() == 2  # by the rules, and by what was declared

    own_copy.execute("DROP POLICY wide ON devices")
    await watch.look()
    await watch.check()
    assert reported() == 0


async def test_readiness_probes_do_not_read_the_catalogue(
    database: Database, own_copy: psycopg.Connection
) -> None:
    watch = Watch(database)
    own_copy.execute("ALTER TABLE devices DISABLE ROW LEVEL SECURITY")

    await watch.check()

    assert "table devices has row-level security off" in await violations(database)


async def test_database_that_goes_away_keeps_its_last_finding(
    own_copy: psycopg.Connection, database: Database
) -> None:
    own_copy.execute("ALTER TABLE devices DISABLE ROW LEVEL SECURITY")
    watch = Watch(database)
    await watch.look()
    await database.close()

    await watch.look()

    with pytest.raises(IsolationError):
        await watch.check()


async def test_what_grew_by_hand_is_never_taken_for_declared(
    own_copy: psycopg.Connection, database: Database, postgres: Postgres
) -> None:
    url = postgres.superuser.replace("/pulse", f"/{own_copy.info.dbname}")
    own_copy.execute("GRANT DELETE ON devices TO pulse_app")

    with pytest.raises(MigrationError, match=r"undo this first.*pulse_app DELETE on devices"):
        migrations.apply(url, ROOT / "db")
    own_copy.execute("REVOKE DELETE ON devices FROM pulse_app")

    assert migrations.apply(url, ROOT / "db") == []
    assert await violations(database) == []


async def test_narrower_grant_is_nobodys_fault(
    own_copy: psycopg.Connection, database: Database
) -> None:
    own_copy.execute("REVOKE INSERT ON devices FROM pulse_app")

    assert await violations(database) == []
