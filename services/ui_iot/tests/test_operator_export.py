"""An operator takes for a tenant what the tenant lets out, table by table, as the database's own policies say."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.archives import Taken, read
from services.ui_iot.tests.operator import Person
from tests.isolation_rows import plant

from pulse_common.identity import TenantId
from pulse_common.tenancy import Database
from ui_iot import archive_store
from ui_iot.archive_tables import TABLES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    import psycopg
    from services.ui_iot.tests.rig import Rig
    from tests.parts import Postgres

    from ui_iot.archive_table import Reach

pytestmark = pytest.mark.anyio
SCOPES: tuple[Reach, ...] = ("telemetry", "secrets", "metadata")
HELD = [table for table in TABLES if table.reach != "platform"]
BY_REACH: dict[Reach, set[str]] = {
    scope: {table.name for table in TABLES if table.reach == scope} for scope in SCOPES
}


@pytest.fixture
async def operators(postgres: Postgres) -> AsyncIterator[Database]:
    made = Database(postgres.url("svc_ui_iot_operator"), name="test")
    await made.open()
    yield made
    await made.close()


def fill(connection: psycopg.Connection, tenant: UUID) -> None:
    for table in TABLES:
        if table.name != "tenants":
            plant(connection, table.name, str(tenant))


def demand_everything(rig: Rig, tenant: UUID) -> None:
    rig.superuser.execute("DELETE FROM tenant_access_policies WHERE tenant_id = %s", [tenant])
    rig.superuser.execute(
        "INSERT INTO tenant_access_policies (tenant_id, metadata_needs_approval, updated_by) VALUES (%s, true, 'a')",
        [tenant],
    )


def let_in(rig: Rig, tenant: UUID, operator: str, *scopes: str) -> None:
    rig.superuser.execute(
        "INSERT INTO operator_grants (tenant_id, grant_id, kind, operator_id, operator_name, scopes, reason, ticket,"
        " seconds, status, decided_at, decided_by, begins_at, ends_at) VALUES (%s, %s, 'approval', %s, 'o', %s,"
        " 'reason', 'T-1', 600, 'active', now(), 'alice', now() - interval '1 minute', now() + interval '5 minutes')",
        [tenant, uuid4(), operator, list(scopes)],
    )


async def take(who: Person, tenant: UUID) -> Taken:
    answer = await who.post(f"/tenants/{tenant}/export")
    assert answer.status_code == 200, answer.text
    return read(answer.content)


async def test_let_in_everywhere_an_operator_takes_every_table_of_this_tenant_alone(
    rig: Rig, acme: UUID
) -> None:
    globex, admin = rig.tenant("Globex"), Person(rig)
    fill(rig.superuser, acme)
    fill(rig.superuser, globex)
    demand_everything(rig, acme)
    let_in(rig, acme, admin.subject, *SCOPES)

    taken = await take(admin, acme)

    assert (taken.manifest["complete"], taken.manifest["withheld"]) == (True, [])
    assert {name for name, rows in taken.tables.items() if rows} == {table.name for table in TABLES}
    tenants = {row["tenant_id"] for rows in taken.tables.values() for row in rows}
    assert tenants == {str(acme)}


@pytest.mark.parametrize("scope", SCOPES)
async def test_each_grant_opens_its_tables_and_no_others(
    rig: Rig, acme: UUID, scope: Reach
) -> None:
    admin = Person(rig)
    fill(rig.superuser, acme)
    demand_everything(rig, acme)
    let_in(rig, acme, admin.subject, scope)

    taken = await take(admin, acme)

    assert set(taken.manifest["withheld"]) == set(SCOPES) - {scope}
    assert {table.name for table in HELD} & set(taken.tables) == BY_REACH[scope]


@pytest.mark.parametrize("scope", [*SCOPES, None])
async def test_database_itself_keeps_back_what_no_grant_opens(
    rig: Rig, operators: Database, acme: UUID, scope: Reach | None
) -> None:
    fill(rig.superuser, acme)
    demand_everything(rig, acme)
    operator, seen = str(uuid4()), set()
    if scope:
        let_in(rig, acme, operator, scope)
    opened = operators.operator_data_connection(
        operator, "look", tenants=[TenantId(acme)], purpose="test", name="o"
    )

    async with opened as tx:
        for table in HELD:
            if (await archive_store.read_page(tx, table, acme, None)).lines:
                seen.add(table.name)

    assert seen == (BY_REACH[scope] if scope else set())
