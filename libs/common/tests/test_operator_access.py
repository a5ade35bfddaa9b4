"""What operators see of a tenant is decided by the database: a live grant, or a tenant that demands none."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest

from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from contextlib import AbstractAsyncContextManager

    from tests.parts import Postgres

    from pulse_common.tenancy import OperatorTx

pytestmark = pytest.mark.anyio

OLIVIA, OSCAR = "olivia", "oscar"
HELD = {
    "telemetry": "telemetry",
    "device_last_state": "telemetry",
    "enrolment_tokens": "secrets",
    "devices": "metadata",
    "certificates": "metadata",
}


@pytest.fixture
def tenant(superuser: psycopg.Connection) -> TenantId:
    """Make a tenant with a row in each table that operators may be let into."""
    tenant, device, issuer = TenantId(uuid4()), uuid4(), uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'D')", [tenant, device]
    )
    superuser.execute(
        "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
        " VALUES (%s, %s, now(), %s, '{}', now())",
        [tenant, device, uuid4()],
    )
    superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
        " VALUES (%s, %s, now(), now(), '{}')",
        [tenant, device],
    )
    superuser.execute(
        "INSERT INTO enrolment_tokens (tenant_id, token_id, device_id, token_hash, expires_at, created_by)"
        " VALUES (%s, %s, %s, sha256(%s), now(), 'alice')",
        [tenant, uuid4(), device, tenant.bytes],
    )
    superuser.execute(
        "INSERT INTO issuers (issuer_id, kind, subject, certificate_der, fingerprint_sha256, not_before,"
        " not_after) VALUES (%s, 'root', 'CA', '', sha256(%s), now(), now() + interval '1 day')",
        [issuer, issuer.bytes],
    )
    superuser.execute(
        "INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number,"
        " fingerprint_sha256, public_key_sha256, certificate_der, not_before, not_after)"
        " VALUES (%s, %s, %s, %s, %s, sha256(%s), sha256(%s), '', now(), now() + interval '1 day')",
        [tenant, uuid4(), device, issuer, device.hex, device.bytes, device.bytes],
    )
    return tenant


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    made = Database(postgres.url("svc_ui_iot_operator"), name="test", max_connections=2)
    await made.open()
    yield made
    await made.close()


@pytest.fixture
def operator(postgres: Postgres) -> Iterator[psycopg.Connection]:
    """Connect as the operators' login; nothing is kept."""
    with psycopg.connect(postgres.url("svc_ui_iot_operator")) as connection:
        yield connection
        connection.rollback()


def become(connection: psycopg.Connection, role: str, who: str, tenant: object = "") -> None:
    connection.rollback()
    connection.execute(
        "SELECT set_config('role', %s, true), set_config('app.operator', %s, true),"
        " set_config('app.tenant_id', %s, true)",
        [role, who, str(tenant)],
    )


def visible(connection: psycopg.Connection, tenant: UUID) -> set[str]:
    """Say in which tables the data role sees rows of the tenant."""
    found = set()
    for table in HELD:
        query = psycopg.sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(
            psycopg.sql.Identifier(table)
        )
        row = connection.execute(query, [tenant]).fetchone()
        if row and row[0]:
            found.add(table)
    return found


def grant(
    superuser: psycopg.Connection,
    tenant: UUID,
    scopes: list[str],
    *,
    who: str = OLIVIA,
    begins: str = "-1 minute",
    ends: str = "1 hour",
    status: str = "active",
) -> UUID:
    grant_id = uuid4()
    superuser.execute(
        "INSERT INTO operator_grants (tenant_id, grant_id, kind, operator_id, operator_name, scopes, reason,"
        " ticket, seconds, status, decided_at, decided_by, begins_at, ends_at)"
        " VALUES (%s, %s, 'approval', %s, 'O', %s, 'r', 'T-1', 3600, %s, now(), 'alice',"
        " now() + %s::interval, now() + %s::interval)",
        [tenant, grant_id, who, scopes, status, begins, ends],
    )
    return grant_id


def test_without_a_grant_only_metadata_is_seen(
    operator: psycopg.Connection, tenant: TenantId
) -> None:
    become(operator, "pulse_operator_data", OLIVIA)

    assert visible(operator, tenant) == {"devices", "certificates"}


def test_without_a_named_operator_nothing_is_seen(
    operator: psycopg.Connection, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    grant(superuser, tenant, ["telemetry", "secrets", "metadata"])
    become(operator, "pulse_operator_data", "")

    assert visible(operator, tenant) == set()


@pytest.mark.parametrize("scope", ["telemetry", "secrets", "metadata"])
def test_grant_opens_its_own_scope_to_its_own_operator(
    operator: psycopg.Connection, superuser: psycopg.Connection, tenant: TenantId, scope: str
) -> None:
    superuser.execute(
        "INSERT INTO tenant_access_policies (tenant_id, metadata_needs_approval, updated_by)"
        " VALUES (%s, true, 'alice')",
        [tenant],
    )
    grant(superuser, tenant, [scope])

    become(operator, "pulse_operator_data", OLIVIA)
    seen = visible(operator, tenant)
    become(operator, "pulse_operator_data", OSCAR)
    seen_by_another = visible(operator, tenant)

    assert seen == {table for table, needed in HELD.items() if needed == scope}
    assert seen_by_another == set()


@pytest.mark.parametrize(
    ("begins", "ends", "status"),
    [
        ("-2 hours", "-1 second", "active"),
        ("1 minute", "1 hour", "active"),
        ("-1 minute", "1 hour", "revoked"),
        ("-1 minute", "1 hour", "denied"),
    ],
)
def test_dead_grant_opens_nothing(
    operator: psycopg.Connection,
    superuser: psycopg.Connection,
    tenant: TenantId,
    begins: str,
    ends: str,
    status: str,
) -> None:
    grant(superuser, tenant, ["telemetry"], begins=begins, ends=ends, status=status)
    become(operator, "pulse_operator_data", OLIVIA)

    assert "telemetry" not in visible(operator, tenant)


def test_tenant_that_demands_nothing_needs_no_grant(
    operator: psycopg.Connection, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    superuser.execute(
        "INSERT INTO tenant_access_policies (tenant_id, telemetry_needs_approval, secrets_need_approval,"
        " updated_by) VALUES (%s, false, false, 'alice')",
        [tenant],
    )
    become(operator, "pulse_operator_data", OLIVIA)

    assert visible(operator, tenant) == set(HELD)


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT metrics FROM telemetry",
        "SELECT metrics FROM device_last_state",
        "SELECT token_id FROM enrolment_tokens",
        "SELECT name FROM devices",
        "SELECT serial_number FROM certificates",
        "SELECT metrics FROM telemetry_default",
    ],
)
def test_role_that_bypasses_policies_may_not_read_what_tenants_hold(
    operator: psycopg.Connection, statement: str
) -> None:
    become(operator, "pulse_operator_read", OLIVIA)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        operator.execute(statement.encode())


def test_hash_of_a_token_is_never_read(operator: psycopg.Connection) -> None:
    become(operator, "pulse_operator_data", OLIVIA)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        operator.execute("SELECT token_hash FROM enrolment_tokens")


def ask(connection: psycopg.Connection, tenant: UUID, who: str, kind: str) -> UUID:
    grant_id = uuid4()
    connection.execute(
        "INSERT INTO operator_grants (tenant_id, grant_id, kind, operator_id, operator_name, scopes, reason,"
        " ticket, seconds) VALUES (%s, %s, %s, %s, 'O', '{telemetry}', 'r', 'T-1', 3600)",
        [tenant, grant_id, kind, who],
    )
    return grant_id


OPEN = (
    "UPDATE operator_grants SET status = 'active', decided_at = now(), decided_by = %s, begins_at = now(),"
    " ends_at = now() + interval '1 hour' WHERE grant_id = %s"
)


def test_operator_may_not_ask_in_anothers_name(
    operator: psycopg.Connection, tenant: TenantId
) -> None:
    become(operator, "pulse_operator_write", OLIVIA)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ask(operator, tenant, OSCAR, "approval")


def test_operator_may_not_approve_anybodys_request(
    operator: psycopg.Connection, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    asked = ask(superuser, tenant, OLIVIA, "approval")

    for who in (OLIVIA, OSCAR):
        become(operator, "pulse_operator_write", who)
        assert operator.execute(OPEN, [who, asked]).rowcount == 0


def test_glass_is_broken_by_a_second_operator_only(
    operator: psycopg.Connection, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    asked = ask(superuser, tenant, OLIVIA, "break_glass")

    become(operator, "pulse_operator_write", OLIVIA)
    by_oneself = operator.execute(OPEN, [OLIVIA, asked]).rowcount
    become(operator, "pulse_operator_write", OSCAR)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        operator.execute(OPEN, ["somebody else", asked])
    become(operator, "pulse_operator_write", OSCAR)
    by_another = operator.execute(OPEN, [OSCAR, asked]).rowcount

    assert (by_oneself, by_another) == (0, 1)


def test_glass_stays_broken_for_four_hours_at_most(
    operator: psycopg.Connection, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    asked = ask(superuser, tenant, OLIVIA, "break_glass")
    become(operator, "pulse_operator_write", OSCAR)

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        operator.execute(OPEN.replace("1 hour", "5 hours").encode(), [OSCAR, asked])


def test_operators_change_nothing_that_a_tenant_holds(
    operator: psycopg.Connection, tenant: TenantId
) -> None:
    for statement in (
        "UPDATE tenant_access_policies SET telemetry_needs_approval = false",
        "INSERT INTO tenant_access_policies (tenant_id, updated_by) VALUES (gen_random_uuid(), 'o')",
        "UPDATE devices SET name = 'X'",
        "DELETE FROM operator_grants",
        "DELETE FROM tenants",
        "UPDATE operator_grants SET operator_id = 'olivia'",
    ):
        become(operator, "pulse_operator_write", OLIVIA, tenant)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            operator.execute(statement.encode())


def test_tenants_role_may_not_invent_a_request(postgres: Postgres, tenant: TenantId) -> None:
    with psycopg.connect(postgres.url("svc_ui_iot")) as connection:
        become(connection, "pulse_app", "", tenant)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            ask(connection, tenant, OLIVIA, "approval")


def audited(superuser: psycopg.Connection, reason: str) -> list[tuple[object, ...]]:
    return superuser.execute(
        "SELECT tenant_id, actor_kind, actor_id, action, details ->> 'purpose' FROM audit_log"
        " WHERE reason = %s ORDER BY tenant_id",
        [reason],
    ).fetchall()


async def test_each_tenant_that_is_touched_has_a_row_of_its_own(
    database: Database, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    found = TenantId(uuid4())
    reason = f"ticket {uuid4()}"

    async with database.operator_read_connection(
        OLIVIA, reason, tenants=[tenant], purpose="certificate health"
    ) as tx:
        await tx.touch([found])

    rows = audited(superuser, reason)
    assert {row[0] for row in rows} == {UUID(int=0), tenant, found}
    assert {row[1:] for row in rows} == {
        ("operator", OLIVIA, "operator.read", "certificate health")
    }


def opened(database: Database, kind: str) -> AbstractAsyncContextManager[OperatorTx]:
    reason = "not to be recorded"
    if kind == "read":
        return database.operator_read_connection(OLIVIA, reason)
    if kind == "data":
        return database.operator_data_connection(OLIVIA, reason)
    return database.operator_write_connection(OLIVIA, reason)


@pytest.mark.parametrize("kind", ["read", "data", "write"])
async def test_no_audit_row_no_data(
    database: Database, superuser: psycopg.Connection, tenant: TenantId, kind: str
) -> None:
    got: list[object] = []
    superuser.execute(
        "CREATE FUNCTION refuse_this() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no room'; END $$;"
        "CREATE TRIGGER refuse_this BEFORE INSERT ON audit_log FOR EACH ROW"
        " WHEN (NEW.reason = 'not to be recorded') EXECUTE FUNCTION refuse_this()"
    )
    try:
        with pytest.raises(psycopg.errors.RaiseException):
            async with opened(database, kind) as tx:
                got.extend(await tx.all("SELECT tenant_id FROM tenants"))
    finally:
        superuser.execute("DROP TRIGGER refuse_this ON audit_log; DROP FUNCTION refuse_this()")

    assert got == []


async def test_purge_waits_for_the_end_of_the_grace(
    database: Database, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    superuser.execute(
        "UPDATE tenants SET status = 'deleting', purge_after = now() + interval '1 day'"
        " WHERE tenant_id = %s",
        [tenant],
    )

    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="not due"):
        async with database.operator_write_connection(OLIVIA, "purge", tenant=tenant) as tx:
            await tx.one("SELECT purge_tenant(%(tenant)s)", {"tenant": tenant})


async def test_purge_leaves_the_record_and_other_tenants(
    database: Database, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    other = TenantId(uuid4())
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Other')", [other])
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'D')", [other, uuid4()]
    )
    grant(superuser, tenant, ["telemetry"])
    superuser.execute(
        "UPDATE certificates SET not_before = now() - interval '2 s', not_after = now() - interval '1 s'"
        " WHERE tenant_id = %s",
        [tenant],
    )
    superuser.execute(
        "UPDATE tenants SET status = 'deleting', purge_after = now() - interval '1 second'"
        " WHERE tenant_id = %s",
        [tenant],
    )

    async with database.operator_write_connection(OLIVIA, "purge", tenant=tenant) as tx:
        purged = await tx.one("SELECT purge_tenant(%(tenant)s) AS n", {"tenant": tenant})

    assert purged["n"] == len(HELD)
    for table in HELD:
        query = psycopg.sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s")
        row = superuser.execute(query.format(psycopg.sql.Identifier(table)), [tenant]).fetchone()
        assert row == (0,), table
    kept = superuser.execute(
        "SELECT (SELECT count(*) FROM audit_log WHERE tenant_id = %(t)s),"
        " (SELECT count(*) FROM operator_grants WHERE tenant_id = %(t)s),"
        " (SELECT status FROM tenants WHERE tenant_id = %(t)s),"
        " (SELECT count(*) FROM devices WHERE tenant_id = %(o)s)",
        {"t": tenant, "o": other},
    ).fetchone()
    assert kept == (1, 1, "deleted", 1)


async def test_purge_keeps_what_a_revocation_list_must_tell_until_it_expires(
    database: Database, superuser: psycopg.Connection, tenant: TenantId
) -> None:
    superuser.execute(
        "UPDATE tenants SET status = 'deleting', purge_after = now() - interval '1 second'"
        " WHERE tenant_id = %s",
        [tenant],
    )

    async with database.operator_write_connection(OLIVIA, "purge", tenant=tenant) as tx:
        await tx.one("SELECT purge_tenant(%(tenant)s)", {"tenant": tenant})

    kept = superuser.execute(
        "SELECT c.status, c.revocation_reason, d.name, d.status, t.status, t.purge_after = c.not_after"
        "  FROM certificates c JOIN devices d USING (device_id) JOIN tenants t ON t.tenant_id = c.tenant_id"
        " WHERE c.tenant_id = %s",
        [tenant],
    ).fetchall()
    assert kept == [
        ("revoked", "cessationOfOperation", "deleted device", "disabled", "deleted", True)
    ]

    superuser.execute(
        "UPDATE certificates SET not_after = now() - interval '1 s' WHERE tenant_id = %s", [tenant]
    )
    superuser.execute("UPDATE tenants SET purge_after = now() WHERE tenant_id = %s", [tenant])
    async with database.operator_write_connection(OLIVIA, "purge", tenant=tenant) as tx:
        await tx.one("SELECT purge_tenant(%(tenant)s)", {"tenant": tenant})

    left = superuser.execute(
        "SELECT (SELECT count(*) FROM certificates WHERE tenant_id = %(t)s),"
        " (SELECT count(*) FROM devices WHERE tenant_id = %(t)s),"
        " (SELECT purge_after FROM tenants WHERE tenant_id = %(t)s)",
        {"t": tenant},
    ).fetchone()
    assert left == (0, 0, None)
