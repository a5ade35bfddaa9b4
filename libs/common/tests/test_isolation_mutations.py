"""Break the isolation of each table in turn, in every way we know, and demand that the check names it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from tests.isolation_rows import tenant_tables
from tests.parts import ROOT

from pulse_common import migrations
from pulse_common.declared_access import REMEMBERED, differences
from pulse_common.isolation_rules import TENANT, VIOLATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.parts import Postgres

_POLICY = (
    f"CREATE POLICY tenant_isolation ON {{t}} TO pulse_app USING ({TENANT}) WITH CHECK ({TENANT})"
)
_DROPPED = "DROP POLICY tenant_isolation ON {t}"
_MAY = "SELECT has_table_privilege('pulse_app', %s, %s)"


@dataclass(frozen=True, slots=True)
class Mutation:
    name: str
    sql: str


OF_A_TABLE = [
    Mutation("row-level security disabled", "ALTER TABLE {t} DISABLE ROW LEVEL SECURITY"),
    Mutation("not forced", "ALTER TABLE {t} NO FORCE ROW LEVEL SECURITY"),
    Mutation("policy dropped", _DROPPED),
    Mutation("USING (true)", "ALTER POLICY tenant_isolation ON {t} USING (true)"),
    Mutation("WITH CHECK (true)", "ALTER POLICY tenant_isolation ON {t} WITH CHECK (true)"),
    Mutation(
        "USING with a way out", f"ALTER POLICY tenant_isolation ON {{t}} USING ({TENANT} OR false)"
    ),
    Mutation(
        "another setting",
        "ALTER POLICY tenant_isolation ON {t}"
        " USING (tenant_id = nullif((SELECT current_setting('app.tenant', true)), '')::uuid)",
    ),
    Mutation(
        "no WITH CHECK",
        f"{_DROPPED}; CREATE POLICY tenant_isolation ON {{t}} TO pulse_app USING ({TENANT})",
    ),
    Mutation("policy for PUBLIC", f"{_DROPPED}; {_POLICY.replace('TO pulse_app', 'TO PUBLIC')}"),
    Mutation("policy restrictive", f"{_DROPPED}; {_POLICY.replace(' TO', ' AS RESTRICTIVE TO')}"),
    Mutation(
        "policy for SELECT alone",
        f"{_DROPPED}; CREATE POLICY tenant_isolation ON {{t}} FOR SELECT TO pulse_app USING ({TENANT})",
    ),
    Mutation("second policy", "CREATE POLICY wide ON {t} FOR SELECT TO pulse_app USING (true)"),
    Mutation("second policy for PUBLIC", "CREATE POLICY wide ON {t} USING (true)"),
    Mutation("SELECT for PUBLIC", "GRANT SELECT ON {t} TO PUBLIC"),
    Mutation("SELECT for a login", "GRANT SELECT ON {t} TO svc_ui_iot"),
    Mutation("TRUNCATE granted", "GRANT TRUNCATE ON {t} TO pulse_app"),
    Mutation("grant option", "GRANT SELECT ON {t} TO pulse_app WITH GRANT OPTION"),
    Mutation("one column more", "GRANT UPDATE (tenant_id) ON {t} TO pulse_provision"),
    Mutation("owned by a login", "ALTER TABLE {t} OWNER TO svc_ui_iot"),
    Mutation("view with its owner's rights", "CREATE VIEW leak AS SELECT tenant_id FROM {t}"),
    Mutation("materialized view", "CREATE MATERIALIZED VIEW leak AS SELECT tenant_id FROM {t}"),
    Mutation(
        "rewrite rule", "CREATE RULE leak AS ON DELETE TO {t} DO ALSO SELECT tenant_id FROM {t}"
    ),
    Mutation(
        "SECURITY DEFINER function",
        "CREATE FUNCTION leak() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM {t}'",
    ),
]
OF_A_LOGIN = [
    Mutation("BYPASSRLS", "ALTER ROLE {r} BYPASSRLS"),
    Mutation("SUPERUSER", "ALTER ROLE {r} SUPERUSER"),
    Mutation("INHERIT", "ALTER ROLE {r} INHERIT"),
    Mutation("CREATEROLE", "ALTER ROLE {r} CREATEROLE"),
    Mutation("member of the owner", "GRANT pulse_owner TO {r}"),
    Mutation("member of every reader", "GRANT pg_read_all_data TO {r}"),
    Mutation("inherits the tenants' role", "GRANT pulse_app TO {r} WITH INHERIT TRUE"),
    Mutation("CREATE in the schema", "GRANT CREATE ON SCHEMA public TO {r}"),
    Mutation("begins as a tenant", "ALTER ROLE {r} SET app.tenant_id = '1'"),
    Mutation(
        "begins as an operator, here", "ALTER ROLE {r} IN DATABASE {d} SET App.Operator = 'o'"
    ),
    Mutation("begins in a role", "ALTER ROLE {r} SET role = 'pulse_app'"),
    Mutation("finds other tables", "ALTER ROLE {r} SET search_path = elsewhere, public"),
]
OF_THE_REST = [
    Mutation("new table without a policy", "CREATE TABLE stray (tenant_id uuid NOT NULL)"),
    Mutation("tenants' role bypasses", "ALTER ROLE pulse_app BYPASSRLS"),
    Mutation("everybody begins as a tenant", "ALTER DATABASE {d} SET app.tenant_id = '1'"),
    Mutation("tenant by the server's configuration", "SET LOCAL app.tenant_id = '1'"),
    Mutation("default grants", "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO pulse_app"),
    Mutation("definer for PUBLIC", "GRANT EXECUTE ON FUNCTION {f} TO PUBLIC"),
    Mutation("definer for tenants", "GRANT EXECUTE ON FUNCTION {f} TO pulse_app"),
    Mutation("definer for the sessions' role", "GRANT EXECUTE ON FUNCTION {f} TO pulse_sessions"),
    Mutation("definer without a reason", "COMMENT ON FUNCTION {f} IS NULL"),
    Mutation("definer without a search_path", "ALTER FUNCTION {f} RESET search_path"),
    Mutation("LEAKPROOF", "ALTER FUNCTION {f} LEAKPROOF"),
    Mutation(
        "IMMUTABLE setting",
        "CREATE FUNCTION tenant() RETURNS text IMMUTABLE LANGUAGE sql AS $$SELECT current_setting('app.tenant_id')$$",
    ),
]


@pytest.fixture(scope="module")
def own_copy(postgres: Postgres) -> Iterator[psycopg.Connection]:
    name = f"mutants_{uuid4().hex}"
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("SELECT ensure_telemetry_partitions(0)")
        yield connection


def faults(connection: psycopg.Connection, login: str = "svc_ui_iot") -> list[str]:
    """Check as a service would: as its login, whatever the transaction has changed so far."""
    row = connection.execute(REMEMBERED).fetchone()
    assert row is not None
    connection.execute(f"SET LOCAL SESSION AUTHORIZATION {login}".encode())
    named = [str(row[0]) for row in connection.execute(VIOLATIONS)]
    return named + differences(
        found=migrations.access(connection), declared=str(row[0]).splitlines()
    )


def survives(connection: psycopg.Connection, statement: str) -> bool:
    with connection.transaction(force_rollback=True):
        connection.execute(statement.encode())
        return not faults(connection)


def score(found: dict[str, bool], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Print how many mutants were noticed and return the names of those that were not."""
    survivors = sorted(name for name, alive in found.items() if alive)
    with capsys.disabled():
        noticed = len(found) - len(survivors)
        print(f"\nisolation mutants noticed: {noticed}/{len(found)} = {noticed / len(found):.0%}")  # noqa: T201
    return survivors


def test_unbroken_catalogue_is_sound(own_copy: psycopg.Connection) -> None:
    with own_copy.transaction(force_rollback=True):
        assert faults(own_copy) == []


@pytest.mark.timeout(180)
def test_each_mutant_of_each_table_is_noticed(
    own_copy: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    found = {}
    for table in tenant_tables(own_copy):
        for mutation in OF_A_TABLE:
            statement = mutation.sql.format(t=table)
            found[f"{table}: {mutation.name}"] = survives(own_copy, statement)
        for privilege in ("SELECT", "INSERT", "UPDATE", "DELETE", "REFERENCES", "TRIGGER"):
            row = own_copy.execute(_MAY, [table, privilege]).fetchone()
            if row is not None and not row[0]:
                statement = f"GRANT {privilege} ON {table} TO pulse_app"
                found[f"{table}: {privilege} for tenants"] = survives(own_copy, statement)

    assert score(found, capsys) == []


def test_each_mutant_of_each_login_is_noticed(
    own_copy: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    logins = own_copy.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'svc%'").fetchall()
    found = {
        f"{login}: {mutation.name}": survives(
            own_copy, mutation.sql.format(r=login, d=own_copy.info.dbname)
        )
        for (login,) in logins
        for mutation in OF_A_LOGIN
    }

    assert score(found, capsys) == []


def test_each_other_mutant_is_noticed(
    own_copy: psycopg.Connection, capsys: pytest.CaptureFixture[str]
) -> None:
    definers = own_copy.execute(
        "SELECT oid::regprocedure::text, has_function_privilege('pulse_app', oid, 'EXECUTE')"
        "  FROM pg_proc WHERE prosecdef"
    )
    found = {
        f"{definer}: {mutation.name}": survives(
            own_copy, mutation.sql.format(f=definer, d=own_copy.info.dbname)
        )
        for definer, for_tenants in definers.fetchall()
        for mutation in OF_THE_REST
        # What tenants may run by a migration's word is no mutant.
        if not (for_tenants and mutation.name == "definer for tenants")
    }
    probe = (
        "CREATE TABLE probe (tenant_id uuid NOT NULL, device_id uuid REFERENCES devices (device_id));"
        "CREATE INDEX ON probe (tenant_id); ALTER TABLE probe OWNER TO pulse_owner;"
        "ALTER TABLE probe ENABLE ROW LEVEL SECURITY; ALTER TABLE probe FORCE ROW LEVEL SECURITY;"
        + _POLICY.format(t="probe")
    )
    with own_copy.transaction(force_rollback=True):
        own_copy.execute(probe.encode())
        named = faults(own_copy)
    found["foreign key without the tenant"] = not any("tells one tenant" in each for each in named)
    found["no index that leads with tenant_id"] = survives(
        own_copy,
        "DROP INDEX devices_by_tenant;"
        " ALTER TABLE devices DROP CONSTRAINT devices_tenant_id_device_id_key CASCADE",
    )

    assert score(found, capsys) == []
