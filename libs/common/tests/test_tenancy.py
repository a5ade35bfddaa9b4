"""Tenants are kept apart by the database itself, on the service's own login."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest

from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.isolation import violations
from pulse_common.tenancy import Database, ForeignKeyViolation, Tx, UniqueViolation
from pulse_local.secrets import LOGINS

if TYPE_CHECKING:
    from tests.parts import Postgres

pytestmark = pytest.mark.anyio

Open = Callable[[str], AbstractAsyncContextManager[Database]]


@pytest.fixture
def opened(postgres: Postgres) -> Open:
    @asynccontextmanager
    async def open_as(login: str) -> AsyncIterator[Database]:
        database = Database(postgres.url(login), name="test", max_connections=2)
        await database.open()
        try:
            yield database
        finally:
            await database.close()

    return open_as


@pytest.fixture
def two_tenants(superuser: psycopg.Connection) -> tuple[TenantId, TenantId]:
    """Two tenants with one device each."""
    tenants = TenantId(uuid4()), TenantId(uuid4())
    for tenant in tenants:
        superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
        superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'D')",
            [tenant, uuid4()],
        )
    return tenants


async def seen(database: Database, tenant: TenantId) -> set[UUID]:
    async with database.tenant_connection(tenant) as tx:
        return {row["tenant_id"] for row in await tx.all("SELECT tenant_id FROM devices")}


async def who_am_i(connection: AbstractAsyncContextManager[Tx]) -> dict[str, object]:
    async with connection as tx:
        return await tx.one("SELECT current_user::text AS who")


async def test_tenant_sees_only_its_own_rows(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, b = two_tenants
    async with opened("svc_ui_iot") as database:
        assert await seen(database, a) == {a}
        assert await seen(database, b) == {b}


async def test_pooled_connection_carries_nothing_over(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, _ = two_tenants
    async with opened("svc_ui_iot") as database:
        await seen(database, a)

        async with database.catalogue_connection() as tx:
            row = await tx.one(
                "SELECT current_user::text AS who, current_setting('app.tenant_id', true) AS tenant"
            )

    assert row == {"who": "svc_ui_iot", "tenant": ""}


async def test_no_context_means_no_rows(
    opened: Open, postgres: Postgres, two_tenants: tuple[TenantId, TenantId]
) -> None:
    with psycopg.connect(postgres.url("svc_ui_iot")) as connection:
        connection.execute("SET ROLE pulse_app")

        rows = connection.execute("SELECT count(*) FROM devices").fetchone()

    assert rows == (0,)


async def test_bare_login_may_read_no_table(postgres: Postgres) -> None:
    with (
        psycopg.connect(postgres.url("svc_ui_iot")) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT count(*) FROM devices")


async def test_tenant_may_not_write_for_another(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, b = two_tenants
    async with opened("svc_provision_api") as database:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.tenant_connection(a) as tx:
                await tx.execute(
                    "INSERT INTO devices (tenant_id, device_id, name)"
                    " VALUES (%(tenant)s, %(device)s, 'X')",
                    {"tenant": b, "device": uuid4()},
                )
        async with database.tenant_connection(a) as tx:
            touched = await tx.execute(
                "UPDATE devices SET name = 'mine' WHERE tenant_id = %(tenant)s", {"tenant": b}
            )

    assert touched == 0


@pytest.mark.parametrize("role", ["pulse_operator_read", "pulse_operator_write", "pulse_owner"])
@pytest.mark.parametrize(
    "login", ["svc_ui_iot", "svc_provision_api", "svc_ingest_worker", "svc_mqtt_authz"]
)
async def test_tenant_logins_cannot_become_operators(
    postgres: Postgres, login: str, role: str
) -> None:
    with (
        psycopg.connect(postgres.url(login)) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute("SELECT set_config('role', %s, false)", [role])


async def test_operator_reads_every_tenant_and_leaves_a_row(
    opened: Open, superuser: psycopg.Connection, two_tenants: tuple[TenantId, TenantId]
) -> None:
    reason = f"ticket {uuid4()}"
    async with (
        opened("svc_ui_iot_operator") as database,
        database.operator_read_connection("olivia", reason) as tx,
    ):
        tenants = {row["tenant_id"] for row in await tx.all("SELECT tenant_id FROM devices")}

    assert set(two_tenants) <= tenants
    audited = superuser.execute(
        "SELECT actor_id, action FROM audit_log WHERE reason = %s", [reason]
    ).fetchall()
    assert audited == [("olivia", "operator.read")]


async def test_operator_reader_may_not_write(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    async with opened("svc_ui_iot_operator") as database:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            async with database.operator_read_connection("olivia", "looking") as tx:
                await tx.execute("UPDATE devices SET name = 'X'")


async def test_operator_needs_a_reason(opened: Open) -> None:
    async with opened("svc_ui_iot_operator") as database:
        with pytest.raises(ValueError, match="reason"):
            async with database.operator_read_connection("olivia", " "):
                pass


async def test_old_operator_connection_warns_and_reads(opened: Open) -> None:
    async with opened("svc_ui_iot_operator") as database:
        with pytest.warns(DeprecationWarning, match="operator_read_connection"):
            row = await who_am_i(database.operator_connection("olivia", "looking"))

    assert row["who"] == "pulse_operator_read"


async def test_failed_transaction_leaves_nothing(
    opened: Open, superuser: psycopg.Connection, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, _ = two_tenants
    async with opened("svc_provision_api") as database:
        with pytest.raises(RuntimeError, match="half way"):
            async with database.tenant_connection(a) as tx:
                await tx.execute("UPDATE devices SET name = 'changed'")
                raise RuntimeError("half way")

    names = superuser.execute("SELECT name FROM devices WHERE tenant_id = %s", [a]).fetchall()
    assert names == [("D",)]


async def test_row_whose_partition_is_made_under_way_is_to_be_tried_again(
    opened: Open, superuser: psycopg.Connection, two_tenants: tuple[TenantId, TenantId]
) -> None:
    tenant, _ = two_tenants
    superuser.execute("CREATE TABLE months (month int) PARTITION BY LIST (month)")
    superuser.execute("CREATE TABLE months_default PARTITION OF months DEFAULT")
    superuser.execute("CREATE TABLE months_11 (month int)")
    superuser.execute("GRANT INSERT ON months TO pulse_app")

    async def insert(database: Database) -> None:
        async with database.tenant_connection(tenant) as tx:
            await tx.execute("INSERT INTO months VALUES (11)")

    try:
        async with opened("svc_provision_api") as database:
            with superuser.transaction():
                superuser.execute(
                    "ALTER TABLE months ATTACH PARTITION months_11 FOR VALUES IN (11)"
                )
                inserting = asyncio.create_task(insert(database))
                await asyncio.sleep(0.3)  # it has chosen the default one, and waits for its lock
            with pytest.raises(Unavailable):
                await inserting
            await insert(database)
    finally:
        superuser.execute("DROP TABLE IF EXISTS months, months_11")


async def test_broken_rules_have_names(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, b = two_tenants
    insert_device = "INSERT INTO devices (tenant_id, device_id, name) VALUES (%(t)s, %(d)s, 'X')"
    insert_token = (
        "INSERT INTO enrolment_tokens (tenant_id, token_id, device_id, token_hash, expires_at, created_by)"
        " VALUES (%(t)s, %(d)s, %(d)s, %(h)s, now(), 'test')"
    )
    async with opened("svc_provision_api") as database:
        async with database.tenant_connection(b) as tx:
            theirs = (await tx.one("SELECT device_id FROM devices"))["device_id"]
        with pytest.raises(UniqueViolation, match="devices_pkey"):
            async with database.tenant_connection(a) as tx:
                await tx.execute(insert_device, {"t": a, "d": theirs})
        with pytest.raises(ForeignKeyViolation):
            async with database.tenant_connection(a) as tx:
                await tx.execute(insert_token, {"t": a, "d": theirs, "h": bytes(32)})


async def test_first_statement_is_the_tenants_own(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, b = two_tenants
    async with opened("svc_ui_iot") as database:
        for tenant in (a, b, a):
            async with database.tenant_connection(tenant) as tx:
                found = await tx.one(
                    "SELECT current_user::text AS who, current_setting('app.tenant_id') AS tenant,"
                    " (SELECT array_agg(tenant_id) FROM devices) AS rows"
                )

            assert found == {"who": "pulse_app", "tenant": str(tenant), "rows": [tenant]}


async def test_first_statement_is_skipped_when_the_role_is_refused(
    opened: Open, superuser: psycopg.Connection
) -> None:
    superuser.execute("CREATE SEQUENCE witness; GRANT USAGE ON witness TO PUBLIC")
    try:
        async with opened("svc_ui_iot") as database:
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="set role"):
                async with database.service_connection("pulse_ca") as tx:
                    await tx.one("SELECT nextval('witness') AS n")

        assert superuser.execute("SELECT is_called FROM witness").fetchone() == (False,)
    finally:
        superuser.execute("DROP SEQUENCE witness")


async def test_first_statement_that_takes_too_long_is_not_repeated(
    opened: Open, superuser: psycopg.Connection
) -> None:
    async def dawdle(database: Database) -> None:
        async with database.tenant_connection(TenantId(uuid4())) as tx:
            await tx.one("SELECT nextval('witness') AS n, pg_sleep(30)")

    superuser.execute("CREATE SEQUENCE witness; GRANT USAGE ON witness TO PUBLIC")
    try:
        async with opened("svc_delivery_worker") as database:
            dawdling = asyncio.create_task(dawdle(database))
            await asyncio.sleep(0.5)
            superuser.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = 'svc_delivery_worker'"
            )
            with pytest.raises(psycopg.errors.QueryCanceled):
                await dawdling

        assert superuser.execute("SELECT last_value FROM witness").fetchone() == (1,)
    finally:
        superuser.execute("DROP SEQUENCE witness")


async def test_error_of_the_first_statement_ends_the_transaction(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, _ = two_tenants
    async with opened("svc_ui_iot") as database:
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            async with database.tenant_connection(a) as tx:
                with pytest.raises(psycopg.errors.DivisionByZero):
                    await tx.one("SELECT 1 / 0 AS n")
                await tx.one("SELECT 1 AS n")

        assert await seen(database, a) == {a}


async def test_first_statement_that_is_cancelled_leaves_no_trace_on_its_connection(
    opened: Open, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, b = two_tenants
    async with opened("svc_ui_iot") as database:

        async def dawdle() -> None:
            async with database.tenant_connection(a) as tx:
                await tx.one("SELECT pg_sleep(30)")

        for _ in range(4):  # more often than the pool has connections
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(dawdle(), 0.2)

            assert await seen(database, b) == {b}


@pytest.mark.slow
async def test_absent_server_is_unavailable() -> None:
    database = Database("postgresql://svc_x:password@127.0.0.1:1/pulse", name="test")
    await database.open()
    try:
        with pytest.raises(Unavailable):
            async with database.tenant_connection(TenantId(uuid4())):
                pass
    finally:
        await database.close()


async def test_dead_pooled_connections_are_replaced(
    opened: Open, superuser: psycopg.Connection, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, _ = two_tenants
    async with opened("svc_delivery_worker") as database:
        await seen(database, a)
        superuser.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'svc_delivery_worker'"
        )

        assert await seen(database, a) == {a}


async def test_lost_commit_is_unavailable(
    opened: Open, superuser: psycopg.Connection, two_tenants: tuple[TenantId, TenantId]
) -> None:
    a, _ = two_tenants
    async with opened("svc_delivery_worker") as database:
        with pytest.raises(Unavailable):
            async with database.tenant_connection(a) as tx:
                await tx.one("SELECT 1 AS begun")
                superuser.execute(
                    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                    " WHERE usename = 'svc_delivery_worker'"
                )


@pytest.mark.parametrize("login", LOGINS)
async def test_sound_catalogue_lets_every_service_start(opened: Open, login: str) -> None:
    async with opened(login) as database:
        assert await violations(database) == []
