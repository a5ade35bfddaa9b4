"""Each service's own database login, with tenant B's context, without one and bare: what it reaches of tenant A."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.integration.sql_reach import (
    Attempt,
    all_roles,
    authorizes_as,
    example_rows,
    takes_role,
    tenant_tables,
)
from tests.integration.waiting import eventually
from tests.integration.world import reading
from tests.isolation_rows import plant

from pulse_local.seed import ACME, GLOBEX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.world import Device, World

pytestmark = pytest.mark.integration

TENANT_ROLE = "pulse_app"
#: Who may become whom. Operators have a login of their own, which tenants' requests never use.
ROLES = {
    "svc_ui_iot": {
        "pulse_app",
        "pulse_outbox",
        "pulse_sessions",
        "pulse_audit",
        "pulse_notices",
    },
    "svc_ui_iot_operator": {
        "pulse_operator_read",
        "pulse_operator_data",
        "pulse_operator_write",
        "pulse_outbox",
    },
    "svc_provision_api": {"pulse_app", "pulse_outbox", "pulse_provision", "pulse_audit"},
    "svc_cert_worker": {"pulse_ca", "pulse_outbox", "pulse_audit", "pulse_seal"},
    "svc_mqtt_authz": {"pulse_authz", "pulse_outbox", "pulse_audit"},
    "svc_billing_webhooks": {"pulse_billing", "pulse_outbox", "pulse_audit"},
    "svc_ingest_worker": {"pulse_ingest", "pulse_audit", "pulse_outbox"},
    "svc_delivery_worker": {"pulse_app", "pulse_outbox", "pulse_audit", "pulse_delivery"},
}
LOGINS_AND_ROLES = [(login, role) for login, roles in ROLES.items() for role in sorted(roles)]

# Tables that nothing in this test fills by itself.
_PLANTED = (
    "refused_messages",
    "limit_receipts",
    "commands",
    "routes",
    "delivery_attempts",
    "delivery_dead_letters",
    "delivery_held",
    "route_audit_cursors",
    "device_tokens",
    "expiry_warnings",
    "device_profiles",
    "device_groups",
    "device_group_members",
    "enrolment_profiles",
    "claim_certificates",
    "hardware_ids",
    "device_imports",
    "device_import_parts",
    "device_import_rows",
    "session_conflicts",
    "device_rescues",
    "device_transfers",
    "device_arrivals",
    "notices",
    "notice_refusals",
    "device_trust",
    "alert_rules",
    "alert_states",
    "alerts",
)
_SEE = {"read", "copy out"}
#: What roles that serve all tenants reach of one that is not named. It should only ever shrink.
CROSS_TENANT: dict[str, dict[str, set[str]]] = {
    "pulse_app": {},
    "pulse_authz": {
        "tenants": _SEE,
        "devices": _SEE,
        "certificates": _SEE,
        "broker_denials": {"insert"},
        # Hashes: whose token it is, is what it asks.
        "device_tokens": _SEE,
        # What a plan includes and what a profile allows: two columns of each are all that it may read.
        "billing_entitlements": _SEE,
        "device_profiles": _SEE,
        "session_conflicts": {*_SEE, "insert", "update", "delete"},
    },
    "pulse_ca": {
        "tenants": _SEE,
        "devices": _SEE,
        "certificates": _SEE,
        "expiry_warnings": _SEE,
        # Which authorities a device has: how much of the fleet is ready for the next one.
        "device_trust": _SEE,
    },
    "pulse_billing": {
        "tenants": _SEE,
        "devices": _SEE,
        "telemetry": _SEE,
        "device_last_state": _SEE,
        "billing_customers": {*_SEE, "insert", "update"},
        "billing_subscriptions": {*_SEE, "insert", "update"},
        "billing_overrides": {*_SEE, "insert", "update"},
        "billing_entitlements": {*_SEE, "insert", "update"},
        "billing_usage": {*_SEE, "insert", "update"},
        "billing_meter_events": {*_SEE, "insert", "update"},
        "billing_changes": {*_SEE, "insert"},
        "billing_notices": {*_SEE, "insert"},
    },
    "pulse_ingest": {
        "billing_entitlements": _SEE,
        "devices": _SEE,
        # It deletes what a plan no longer keeps.
        "telemetry": {*_SEE, "insert", "delete"},
        "device_last_state": {*_SEE, "insert", "update"},
        "refused_messages": {*_SEE, "insert", "update", "delete"},
        "limit_receipts": {*_SEE, "insert", "update", "delete"},
        "commands": {*_SEE, "insert", "update"},
        # Rules and alerts it reads for a batch and writes as the tenant; where devices stand, for a batch too.
        "alert_rules": _SEE,
        "alerts": _SEE,
        "alert_states": {*_SEE, "insert", "update", "delete"},
        "device_group_members": _SEE,
        "device_profiles": _SEE,
        # It counts messages with what it stores.
        "billing_usage": {*_SEE, "insert", "update"},
    },
    "pulse_provision": {"tenants": {*_SEE, "insert"}},
    # Its own service's events, which it wrote itself.
    "pulse_outbox": {"outbox": {*_SEE, "update", "delete"}},
    "pulse_audit": {"audit_log": {"insert"}},
    # It reads what it seals; seals are signed, so that adding one without the key is found.
    "pulse_seal": {"audit_log": _SEE, "audit_seals": {*_SEE, "insert"}},
    "pulse_sessions": {"audit_log": {"insert"}},
    # Which tenants have routes, and of which kinds; not where they lead, nor what was put aside for them.
    "pulse_delivery": {"routes": _SEE, "delivery_held": _SEE},
    # It mails for every tenant, from rows that it keeps itself.
    "pulse_notices": {"notices": {*_SEE, "insert", "update", "delete"}},
    "pulse_operator_read": {
        "tenants": _SEE,
        "devices": _SEE,
        "certificates": _SEE,
        # Which events wait, not what they say.
        "outbox": _SEE,
        "operator_grants": _SEE,
        "tenant_access_policies": _SEE,
        # It has BYPASSRLS, for which COPY is one more way to INSERT.
        "audit_log": {*_SEE, "insert", "copy in"},
        "audit_seals": _SEE,
        "broker_denials": _SEE,
        # Whether deliveries get through; not where to, nor what they say.
        "routes": _SEE,
        "delivery_attempts": _SEE,
        "delivery_dead_letters": _SEE,
        # The platform's own record of who owes what.
        "billing_customers": _SEE,
        "billing_subscriptions": _SEE,
        "billing_overrides": _SEE,
        "billing_entitlements": _SEE,
        "billing_changes": _SEE,
        "billing_usage": _SEE,
        "billing_notices": _SEE,
        "billing_meter_events": _SEE,
        "session_conflicts": _SEE,
        # How far imports are, and mails, not what they say.
        "device_imports": _SEE,
        "notices": _SEE,
    },
    # Without an operator who holds a grant it sees who there is and what they demand.
    "pulse_operator_data": {"tenants": _SEE, "tenant_access_policies": _SEE},
    "pulse_operator_write": {
        "tenants": {*_SEE, "insert", "update"},
        "audit_log": {"insert"},
        "operator_grants": _SEE,
        "tenant_access_policies": _SEE,
    },
}


@pytest.fixture
def connection(world: World, login: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(world.database_url(login), autocommit=True) as found:
        yield found


@pytest.fixture(scope="module")
def examples(world: World, device_a: Device, device_b: Device) -> dict[str, str]:
    """Give one of A's rows of each table that has any; B has rows too."""
    for device in (device_a, device_b):
        with device.online() as peer:
            peer.publish_and_wait(device.telemetry, reading(sql=1))
    with psycopg.connect(world.superuser, autocommit=True) as database:
        for login in ROLES:
            # Each login's relay sees what that login wrote; sent already, so that nobody publishes it.
            database.execute(
                "INSERT INTO outbox (tenant_id, event_id, producer, subject, payload, sent_at)"
                " VALUES (%s, %s, %s, 'pulse.events.test', '{}', now())",
                [ACME, uuid.uuid4(), login],
            )
        database.execute(
            "INSERT INTO operator_grants (tenant_id, grant_id, kind, operator_id, operator_name, scopes, reason,"
            " ticket, seconds) VALUES (%s, %s, 'approval', 'olivia', 'Olivia', '{telemetry}', 'why', 'T-1', 600)",
            [ACME, uuid.uuid4()],
        )
        database.execute(
            "INSERT INTO tenant_access_policies (tenant_id, updated_by) VALUES (%s, 'alice')"
            " ON CONFLICT DO NOTHING",
            [ACME],
        )
        database.execute(
            "INSERT INTO idempotency_keys"
            " (tenant_id, actor_id, key_hash, request_hash, device_id, leased_until, expires_at)"
            " VALUES (%s, 'alice', sha256('key'), sha256('request'), %s, now(), now())",
            [ACME, uuid.uuid4()],
        )
        database.execute(
            "INSERT INTO broker_denials (tenant_id, denial_id, device_id, at, action, reason, times)"
            " VALUES (%s, gen_random_uuid(), %s, now(), 'connect', 'device_disabled', 1)",
            [ACME, device_a.device_id],
        )
        _bill(database)
        for table in _PLANTED:
            plant(database, table, ACME)
        return eventually(lambda: _with_readings(database), "A's reading in its tables")


def _bill(database: psycopg.Connection) -> None:
    """Give A one row of each of billing's tables."""
    for statement in (
        "billing_customers (tenant_id, customer_id, livemode) VALUES (%s, 'cus_a', false)",
        (
            "billing_subscriptions (tenant_id, subscription_id, customer_id, status, price_ids, stripe_created_at)"
            " VALUES (%s, 'sub_a', 'cus_a', 'active', '{}', now())"
        ),
        (
            "billing_overrides (tenant_id, override_id, limit_name, reason, created_by)"
            " VALUES (%s, gen_random_uuid(), 'seats', 'asked', 'olivia')"
        ),
        (
            "billing_entitlements (tenant_id, version, plan_id, access, hard_limits, features, cause, applied_at)"
            " VALUES (%s, 1, 'unlimited', 'full', false, '{}', 'test', now()) ON CONFLICT DO NOTHING"
        ),
        (
            "billing_changes (tenant_id, version, plan_id, access, limits, cause, applied_at)"
            " VALUES (%s, 1, 'unlimited', 'full', '{}', 'test', now()) ON CONFLICT DO NOTHING"
        ),
        "billing_usage (tenant_id, metric, day, amount) VALUES (%s, 'messages', '2000-01-01', 1)",
        (
            "billing_meter_events (tenant_id, identifier, metric, day, amount, sent_at)"
            " VALUES (%s, 'i', 'messages', '2000-01-01', 1, now())"
        ),
        "billing_notices (tenant_id, notice_key, kind, noticed_at) VALUES (%s, 'k', 'usage', now())",
    ):
        database.execute("INSERT INTO " + statement, [ACME])


def _with_readings(database: psycopg.Connection) -> dict[str, str] | None:
    found = dict(example_rows(database, tenant_tables(database), ACME))
    return found if {"telemetry", "device_last_state", "audit_seals"} <= set(found) else None


def test_there_is_something_to_steal_in_every_tenant_table(
    database: psycopg.Connection, examples: dict[str, str]
) -> None:
    partitions = {
        table for table in tenant_tables(database) if table.startswith(("telemetry_", "audit_log_"))
    }

    assert set(tenant_tables(database)) - partitions == set(examples) - partitions
    # One day's partition, addressed directly, is tried too.
    assert partitions & set(examples)


@pytest.mark.parametrize(("login", "role"), LOGINS_AND_ROLES)
def test_with_another_tenants_context_nothing_is_reached(
    connection: psycopg.Connection, examples: dict[str, str], role: str
) -> None:
    attempt = Attempt(connection=connection, role=role, tenant=GLOBEX, victim=ACME)

    assert _reached(attempt, examples) == CROSS_TENANT[role]


@pytest.mark.parametrize("tenant", [None, ""])
@pytest.mark.parametrize(("login", "role"), LOGINS_AND_ROLES)
def test_without_a_context_nothing_more_is_reached(
    connection: psycopg.Connection, examples: dict[str, str], role: str, tenant: str | None
) -> None:
    attempt = Attempt(connection=connection, role=role, tenant=tenant, victim=ACME)

    reached = _reached(attempt, examples)

    allowed = CROSS_TENANT[role]
    assert {table: acts - allowed.get(table, set()) for table, acts in reached.items()} == {
        table: set() for table in reached
    }


@pytest.mark.parametrize("login", [login for login, roles in ROLES.items() if TENANT_ROLE in roles])
def test_ones_own_rows_are_reached(
    connection: psycopg.Connection, examples: dict[str, str]
) -> None:
    attempt = Attempt(connection=connection, role=TENANT_ROLE, tenant=ACME, victim=ACME)

    reached = _reached(attempt, examples)

    seen = {table for table, acts in reached.items() if acts >= _SEE}
    assert seen >= {"tenants", "devices", "certificates", "telemetry", "device_last_state"}
    assert "update" in reached["devices"]
    # Partitions are reached through their table alone, and nobody empties one.
    assert not any(table.startswith(("telemetry_", "audit_log_")) for table in reached)
    assert not any(acts & {"truncate", "copy in"} for acts in reached.values())


@pytest.mark.parametrize("login", ROLES)
def test_bare_login_is_denied_everything(
    connection: psycopg.Connection, examples: dict[str, str]
) -> None:
    attempt = Attempt(connection=connection, role="none", tenant=ACME, victim=ACME)

    assert _reached(attempt, examples) == {}
    for table in [*examples, "web_sessions", "issuers", "schema_migrations"]:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                psycopg.sql.SQL("SELECT 1 FROM {}").format(psycopg.sql.Identifier(table))
            )


@pytest.mark.parametrize("login", ROLES)
def test_login_becomes_nobody_but_its_own_roles(
    database: psycopg.Connection, connection: psycopg.Connection, login: str
) -> None:
    roles = all_roles(database)

    taken = {role for role in roles if takes_role(connection, role)}
    authorized = {role for role in roles if authorizes_as(connection, role)}

    assert taken == ROLES[login] | {login}
    assert authorized == {login}


def test_foreign_keys_do_not_tell_whose_device_exists(
    world: World, device_a: Device, device_b: Device
) -> None:
    codes = []
    for device_id in (device_a.device_id, str(uuid.uuid4())):
        with (
            psycopg.connect(world.database_url("svc_provision_api")) as connection,
            pytest.raises(psycopg.errors.IntegrityError) as caught,
        ):
            connection.execute("SELECT set_config('role', 'pulse_app', true)")
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [GLOBEX])
            connection.execute(
                "INSERT INTO enrolment_tokens"
                " (tenant_id, token_id, device_id, token_hash, expires_at, created_by)"
                " VALUES (%s, %s, %s, sha256('x'), now(), 'test')",
                [GLOBEX, uuid.uuid4(), device_id],
            )
        codes.append(caught.value.sqlstate)

    assert codes == ["23503", "23503"]


def _reached(attempt: Attempt, examples: dict[str, str]) -> dict[str, set[str]]:
    tried = {table: attempt.reach(table, example) for table, example in examples.items()}
    return {table: acts for table, acts in tried.items() if acts}
