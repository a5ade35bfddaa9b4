"""What one database login, under one of its roles, can do to another tenant's rows: tried out, not read from grants."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_TENANT_TABLES = """
    SELECT c.relname
      FROM pg_class c
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
     ORDER BY c.relname
"""
_ROLES = "SELECT rolname FROM pg_roles WHERE rolname !~ '^pg_' ORDER BY rolname"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One login under one role, with the caller's tenant set (or none), against `victim`'s rows."""

    connection: psycopg.Connection
    role: str
    tenant: str | None
    victim: str

    def reach(self, table: str, example: str) -> set[str]:
        """Return which acts touched the victim's rows; `example` is one of them, as JSON."""
        acts: dict[str, Callable[[str, str], bool]] = {
            "read": self._reads,
            "copy out": self._copies_out,
            "update": self._updates,
            "delete": self._deletes,
            "insert": self._inserts,
            "truncate": self._truncates,
            "copy in": self._copies_in,
        }
        return {name for name, act in acts.items() if self._succeeds(act, table, example)}

    def _succeeds(self, act: Callable[[str, str], bool], table: str, example: str) -> bool:
        with self.connection.transaction(force_rollback=True):
            self.connection.execute("SELECT set_config('role', %s, true)", [self.role])
            if self.tenant is not None:
                self.connection.execute(
                    "SELECT set_config('app.tenant_id', %s, true)", [self.tenant]
                )
            try:
                with self.connection.transaction(force_rollback=True):
                    return act(table, example)
            except (psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported):
                return False
            except psycopg.errors.IntegrityError:
                # It got past the policies, to the constraints.
                return True

    def _reads(self, table: str, _: str) -> bool:
        query = sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(_name(table))
        return self._count(query) > 0

    def _copies_out(self, table: str, _: str) -> bool:
        query = sql.SQL("COPY (SELECT tenant_id FROM {}) TO STDOUT").format(_name(table))
        with self.connection.cursor().copy(query) as copy:
            return any(self.victim in bytes(chunk).decode() for chunk in list(copy))

    def _updates(self, table: str, _: str) -> bool:
        return any(
            self._updates_column(table, column) for column in self._writable(table, "UPDATE")
        )

    def _updates_column(self, table: str, column: str) -> bool:
        query = sql.SQL("UPDATE {0} SET {1} = {1} RETURNING tenant_id").format(
            _name(table), _name(column)
        )
        return self._touches(query)

    def _deletes(self, table: str, _: str) -> bool:
        return self._touches(sql.SQL("DELETE FROM {} RETURNING tenant_id").format(_name(table)))

    def _inserts(self, table: str, example: str) -> bool:
        """Insert the example anew, with the columns that this role may name."""
        columns = self._writable(table, "INSERT")
        query = sql.SQL(
            "INSERT INTO {0} ({1}) OVERRIDING SYSTEM VALUE SELECT {1} FROM json_populate_record(NULL::{0}, %s)"
        ).format(_name(table), sql.SQL(", ").join(map(_name, columns)))
        return bool(columns) and self.connection.execute(query, [example]).rowcount > 0

    def _truncates(self, table: str, _: str) -> bool:
        self.connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(_name(table)))
        return True

    def _copies_in(self, table: str, _: str) -> bool:
        query = sql.SQL("COPY {} (tenant_id) FROM STDIN").format(_name(table))
        with self.connection.cursor().copy(query) as copy:
            copy.write_row([self.victim])
        return True

    def _touches(self, query: sql.Composed) -> bool:
        return any(str(row[0]) == self.victim for row in self.connection.execute(query))

    def _count(self, query: sql.Composed) -> int:
        row = self.connection.execute(query, [self.victim]).fetchone()
        return int(row[0]) if row else 0

    def _writable(self, table: str, privilege: str) -> list[str]:
        query = """
            SELECT attname FROM pg_attribute
             WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
               AND (attidentity = '' OR %s = 'INSERT') AND has_column_privilege(attrelid, attname, %s)
        """
        found = self.connection.execute(query, [table, privilege, privilege])
        return [str(row[0]) for row in found]


def tenant_tables(database: psycopg.Connection) -> list[str]:
    """Ask the catalogue, so that a table made tomorrow is tried tomorrow."""
    return [str(row[0]) for row in database.execute(_TENANT_TABLES)]


def all_roles(database: psycopg.Connection) -> list[str]:
    return [str(row[0]) for row in database.execute(_ROLES)]


def example_rows(
    database: psycopg.Connection, tables: list[str], tenant: str
) -> Iterator[tuple[str, str]]:
    """Yield each table that holds rows of `tenant`, with one of them as JSON."""
    for table in tables:
        query = sql.SQL("SELECT to_json(t)::text FROM {} t WHERE tenant_id = %s LIMIT 1")
        row = database.execute(query.format(_name(table)), [tenant]).fetchone()
        if row is not None:
            yield table, str(row[0])


def takes_role(connection: psycopg.Connection, role: str) -> bool:
    return _passes(connection, sql.SQL("SET LOCAL ROLE {}").format(_name(role)))


def authorizes_as(connection: psycopg.Connection, role: str) -> bool:
    return _passes(connection, sql.SQL("SET LOCAL SESSION AUTHORIZATION {}").format(_name(role)))


def _passes(connection: psycopg.Connection, statement: sql.Composed) -> bool:
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return False
    return True


def _name(name: str) -> sql.Identifier:
    return sql.Identifier(name)
