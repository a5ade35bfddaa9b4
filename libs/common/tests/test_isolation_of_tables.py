"""Every tenant table of the catalogue, every act, every state of a connection: nothing of another's is reached."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, LiteralString
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql
from tests.isolation_acts import ACTS, OWN, STATES, State, Target, become, reach
from tests.isolation_rows import NothingToSteal, plant, tenant_tables
from tests.parts import ROOT

from pulse_common import migrations
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts import Postgres

A, B = str(uuid4()), str(uuid4())
_LOGINS = "SELECT rolname FROM pg_roles WHERE rolcanlogin AND NOT rolsuper AND pg_has_role(oid, 'pulse_app', 'SET')"
_READABLE = "SELECT has_any_column_privilege('pulse_app', %s, 'SELECT')"
_KEYS = """
    SELECT f.conname, h.relname, t.relname,
           array(SELECT a.attname FROM unnest(f.conkey) WITH ORDINALITY k (n, i)
                   JOIN pg_attribute a ON a.attrelid = h.oid AND a.attnum = k.n ORDER BY i),
           array(SELECT a.attname FROM unnest(f.confkey) WITH ORDINALITY k (n, i)
                   JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.n ORDER BY i)
      FROM pg_constraint f JOIN pg_class h ON h.oid = f.conrelid JOIN pg_class t ON t.oid = f.confrelid
     WHERE f.contype = 'f' AND h.relname = ANY (%(tables)s) AND t.relname = ANY (%(tables)s) ORDER BY f.conname
"""


@pytest.fixture(scope="module")
def arranged(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Yield the superuser in a database of its own: rows with no parents must not meet other tests."""
    name = f"rows_{uuid4().hex}"
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    with psycopg.connect(url, autocommit=True) as connection:
        for function in ("ensure_telemetry_partitions(1)", "ensure_audit_partitions(0)"):
            connection.execute(f"SELECT {function}".encode())
        yield connection


@pytest.fixture(scope="module")
def targets(arranged: psycopg.Connection) -> dict[str, Target]:
    """Plant a row of both tenants in every table; a table that gets none fails the suite."""
    missing = []
    found = {}
    for table in tenant_tables(arranged):
        try:
            plant(arranged, table, A)
            found[table] = Target(table, B, plant(arranged, table, B))
        except NothingToSteal as error:
            missing.append(str(error))
    assert not missing, "\n".join(missing)
    return found


def opened(postgres: Postgres, arranged: psycopg.Connection, login: str) -> psycopg.Connection:
    url = postgres.url(login).replace("/pulse", f"/{arranged.info.dbname}")
    return psycopg.connect(url, autocommit=True)


def found_by(
    connection: psycopg.Connection, state: State, targets: dict[str, Target]
) -> dict[str, set[str]]:
    reached = {table: reach(connection, state, A, target) for table, target in targets.items()}
    return {table: acts for table, acts in reached.items() if acts}


@pytest.mark.parametrize("state", STATES, ids=lambda state: state.name)
def test_nothing_of_another_tenant_is_reached(
    postgres: Postgres, arranged: psycopg.Connection, targets: dict[str, Target], state: State
) -> None:
    for (login,) in arranged.execute(_LOGINS).fetchall():
        with opened(postgres, arranged, login) as connection:
            assert found_by(connection, state, targets) == {}, login


def test_the_same_acts_do_reach_ones_own(
    postgres: Postgres, arranged: psycopg.Connection, targets: dict[str, Target]
) -> None:
    readable = {
        table
        for table in targets
        if (row := arranged.execute(_READABLE, [table]).fetchone()) and row[0]
    }
    with opened(postgres, arranged, "svc_ui_iot") as connection:
        reached = found_by(connection, OWN, targets)

    assert {table for table, acts in reached.items() if "read" in acts} == readable
    assert {"insert", "update", "make it fail", "copy out"} <= reached["devices"]
    assert {"delete", "delete returning", "lock"} <= reached["idempotency_keys"]
    # For nobody, ever: round the policies.
    assert not any(acts & {"truncate", "copy in"} for acts in reached.values())


def test_every_act_succeeds_where_nothing_holds_it(
    arranged: psycopg.Connection, targets: dict[str, Target]
) -> None:
    unheld = State("superuser", lambda _c, _t: None, lambda _c, _thief, _victim: None)

    reached = found_by(arranged, unheld, targets)

    assert {table: set(ACTS) - acts for table, acts in reached.items()} == {
        table: set() for table in targets
    }


def test_foreign_keys_do_not_tell_whose_row_exists(
    postgres: Postgres, arranged: psycopg.Connection, targets: dict[str, Target]
) -> None:
    keys = arranged.execute(_KEYS, {"tables": list(targets)}).fetchall()
    assert keys
    with opened(postgres, arranged, "svc_ui_iot") as connection:
        for name, table, parent, here, there in keys:
            theirs: dict[str, object] = json.loads(targets[parent].row)
            row: dict[str, object] = json.loads(plant(arranged, table, str(uuid4())))
            nobodys: dict[str, object] = {key: str(uuid4()) for key in theirs}
            codes = {
                _answer(connection, table, {**_fresh(row), **_referring(here, there, known)})
                for known in (theirs, nobodys)
            }
            assert len(codes) == 1, f"{name} of {table} tells: {codes}"


def _fresh(row: dict[str, object]) -> dict[str, object]:
    """Give the row another identity, so that no unique key answers before the foreign one."""
    return {
        key: str(uuid4()) if key.endswith("_id") and key != "tenant_id" else value
        for key, value in row.items()
    }


def _referring(here: list[str], there: list[str], parent: dict[str, object]) -> dict[str, object]:
    return {
        column: parent[key]
        for column, key in zip(here, there, strict=True)
        if column != "tenant_id"
    }


def _answer(connection: psycopg.Connection, table: str, row: dict[str, object]) -> str | None:
    query = sql.SQL(
        "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM json_populate_record(NULL::{0}, {1})"
    )
    try:
        with connection.transaction(force_rollback=True):
            become(connection, str(row["tenant_id"]))
            connection.execute(query.format(sql.Identifier(table), json.dumps(row)))
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        return error.sqlstate
    return None


@pytest.mark.anyio
async def test_pooled_connection_gives_the_next_tenant_nothing_of_the_last(
    postgres: Postgres, arranged: psycopg.Connection, targets: dict[str, Target]
) -> None:
    url = postgres.url("svc_ui_iot").replace("/pulse", f"/{arranged.info.dbname}")
    database = Database(url, name="test", max_connections=1)
    await database.open()
    own, others = {}, {}
    for table in targets:
        row = arranged.execute(_READABLE, [table]).fetchone()
        if row is None or not row[0]:
            continue
        query: LiteralString = f"SELECT tenant_id::text AS t FROM {table}"  # noqa: S608 -- the catalogue's name
        for _ in range(6):  # past the fifth time a statement is prepared and its plan kept
            async with database.tenant_connection(TenantId(B)) as tx:  # type: ignore[arg-type]
                own[table] = {row["t"] for row in await tx.all(query)}
        async with database.tenant_connection(TenantId(A)) as tx:  # type: ignore[arg-type]
            others[table] = {row["t"] for row in await tx.all(query)}
    await database.close()

    assert own == {table: {B} for table in own}
    assert others == {table: {A} for table in own}
