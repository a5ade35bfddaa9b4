"""A row to steal in every tenant table, made up from the catalogue; what it cannot guess is registered here.

A new table is found by itself.  When its CHECK constraints refuse the row that was made up, the suite fails and asks
for the few columns that matter: add them to ``COLUMNS`` and nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Column values, as text, of tables whose constraints cannot be guessed from types and lists of values. `{new}` becomes
#: another word in each row.
COLUMNS: Mapping[str, Mapping[str, str]] = {
    "outbox": {"subject": "pulse.events.test", "producer": "svc_nobody"},
    "certificates": {"serial_number": "0a"},
    "audit_log_default": {"at": "2020-01-01T00:00:00Z"},
    "audit_seals": {
        "first_position": "0",
        "audit_ids": "{{11111111-1111-4111-8111-111111111111}}",
    },
    "billing_customers": {"customer_id": "cus_{new}"},
    "billing_subscriptions": {"subscription_id": "sub_{new}"},
    "refused_messages": {"reason": "not_json"},
    "limit_receipts": {"messages": "1"},
    "routes": {"event_types": "{{telemetry}}"},
    "alert_rules": {"kind": "absence", "silent_seconds": "60"},
    "delivery_attempts": {"response_body": "ok"},
    "device_rescues": {"opened_at": "2026-01-01T00:00:00Z", "ends_at": "2026-01-01T01:00:00Z"},
    "notices": {"topic": "alerts", "path": "/"},
    "notice_refusals": {"topic": "alerts", "address": "{new}@acme.example"},
    "operator_grants": {"scopes": "{{telemetry}}", "seconds": "300"},
}

_TABLES = """
    SELECT c.relname FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') ORDER BY c.relname
"""
_NEEDED = """
    SELECT a.attname, format_type(a.atttypid, a.atttypmod), t.typcategory::text
      FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
     WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
       AND (a.attname = ANY (%s) OR a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = '')
"""
_CHECKS = """
    SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'c'
"""
_FIRST_OF_PARTITION = """
    SELECT coalesce(substring(pg_get_expr(relpartbound, oid) FROM 'FROM \\(''([^'']+)'), '2026-01-01T00:00:00Z')
      FROM pg_class WHERE oid = to_regclass(%s)
"""
_ONE_OF = r"\(?\b{column}\)?(?:::text)? = ANY \(\(?ARRAY\['([^']*)'"
_BY_TYPE = {
    "boolean": "false",
    "json": "{}",
    "jsonb": "{}",
    "inet": "127.0.0.1",
    "date": "2026-01-01",
    "interval": "1 second",
    "xid8": "1",
}
_BY_CATEGORY = {"A": "{}", "N": "1", "B": "false"}


class NothingToSteal(Exception):  # noqa: N818 -- what the suite says of a table
    """No row could be made up for a table; the message says what to register."""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    kind: str
    category: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Guesses:
    """What a column may hold, going by its type and by the lists of values in CHECK constraints."""

    tenant: str
    moment: str
    checks: tuple[str, ...]

    def of(self, column: Column) -> str:
        if column.name == "tenant_id":
            return self.tenant
        if column.kind == "uuid":
            return str(uuid4())
        if column.category == "D" and column.kind != "date":
            return self.moment
        for check in self.checks:
            if found := re.search(_ONE_OF.format(column=column.name), check):
                return found[1]
        if column.kind == "bytea":
            return f"\\x{uuid4().hex}{uuid4().hex}"
        return _BY_TYPE.get(column.kind) or _BY_CATEGORY.get(column.category, uuid4().hex)


def tenant_tables(connection: psycopg.Connection) -> list[str]:
    """Ask the catalogue, partitions too, so that a table made tomorrow is tried tomorrow."""
    return [str(row[0]) for row in connection.execute(_TABLES)]


def plant(connection: psycopg.Connection, table: str, tenant: str) -> str:
    """Insert one row of ``tenant``, as superuser and without its foreign keys, and return it as JSON.

    Raises:
        NothingToSteal: the constraints refuse what was made up.
    """
    registered = COLUMNS.get(table, {})
    first = connection.execute(_FIRST_OF_PARTITION, [table]).fetchone()
    assert first is not None
    made_up = Guesses(
        tenant=tenant,
        moment=str(first[0]),
        checks=tuple(str(row[0]) for row in connection.execute(_CHECKS, [table])),
    )
    columns = [
        Column(*map(str, row)) for row in connection.execute(_NEEDED, [table, list(registered)])
    ]
    values = [_value(column, registered, made_up) for column in columns]
    query = sql.SQL(
        "INSERT INTO {table} AS planted ({names}) VALUES ({values}) RETURNING to_json(planted)::text"
    )
    try:
        with connection.transaction():
            connection.execute("SET LOCAL session_replication_role = replica")
            row = connection.execute(
                query.format(
                    table=sql.Identifier(table),
                    names=sql.SQL(", ").join(sql.Identifier(column.name) for column in columns),
                    values=sql.SQL(", ").join(values),
                )
            ).fetchone()
    except (psycopg.errors.IntegrityError, psycopg.errors.DataError) as error:
        raise NothingToSteal(
            f"table {table} has no row to steal. Its isolation is tested as soon as tests/isolation_rows.py can make "
            f'one: add the columns that matter to COLUMNS, as in "{table}": {{"status": "active"}}. '
            f"PostgreSQL says: {str(error).splitlines()[0]}"
        ) from error
    assert row is not None
    return str(row[0])


def _value(column: Column, registered: Mapping[str, str], made_up: Guesses) -> sql.Composed:
    text = (
        registered[column.name].format(new=uuid4().hex)
        if column.name in registered
        else made_up.of(column)
    )
    return sql.SQL("CAST({} AS " + column.kind + ")").format(text)
