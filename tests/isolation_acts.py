"""Everything that one tenant's transaction may try on another's row, and every state that it may try it from."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

if TYPE_CHECKING:
    from collections.abc import Callable

_WRITABLE = """
    SELECT attname FROM pg_attribute
     WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
       AND (attidentity = '' OR %s = 'INSERT') AND has_column_privilege(attrelid, attname, %s)
"""
#: Refusals; a malformed context is refused by the cast of the policy itself.
_REFUSED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.FeatureNotSupported,
    psycopg.errors.InvalidTextRepresentation,
)


@dataclass(frozen=True, slots=True)
class Target:
    """One row of the victim, as JSON."""

    table: str
    victim: str
    row: str


@dataclass(frozen=True, slots=True)
class State:
    """How the thief's connection came to be: `before` is a transaction of its own, `inside` begins the next one."""

    name: str
    before: Callable[[psycopg.Connection, Target], None]
    inside: Callable[[psycopg.Connection, str, str], None]


def reach(connection: psycopg.Connection, state: State, thief: str, target: Target) -> set[str]:
    """Return which acts touched the victim's row; all of them are rolled back."""
    return {name for name in ACTS if _succeeds(connection, state, thief, target, ACTS[name])}


def _succeeds(
    connection: psycopg.Connection,
    state: State,
    thief: str,
    target: Target,
    act: Callable[[psycopg.Connection, Target], bool],
) -> bool:
    state.before(connection, target)
    with connection.transaction(force_rollback=True):
        state.inside(connection, thief, target.victim)
        try:
            with connection.transaction(force_rollback=True):
                return act(connection, target)
        except _REFUSED:
            return False
        except (psycopg.errors.IntegrityError, psycopg.errors.DivisionByZero):
            return (
                True  # it got past the policies: to the constraints, or to the victim's row itself
            )


def _query(text: str, target: Target) -> sql.Composed:
    return sql.SQL(text).format(table=sql.Identifier(target.table), victim=target.victim)


def _any(connection: psycopg.Connection, text: str, target: Target) -> bool:
    return connection.execute(_query(text, target), prepare=True).fetchone() is not None


def _copies_out(connection: psycopg.Connection, target: Target) -> bool:
    query = _query("COPY (SELECT tenant_id FROM {table}) TO STDOUT", target)
    with connection.cursor().copy(query) as copy:
        return any(target.victim in bytes(chunk).decode() for chunk in list(copy))


def _copies_in(connection: psycopg.Connection, target: Target) -> bool:
    with connection.cursor().copy(_query("COPY {table} (tenant_id) FROM STDIN", target)) as copy:
        copy.write_row([target.victim])
    return True


def _updates(connection: psycopg.Connection, target: Target) -> bool:
    for (column,) in connection.execute(_WRITABLE, [target.table, "UPDATE", "UPDATE"]).fetchall():
        text = sql.SQL("UPDATE {} SET {} = {} WHERE tenant_id = {}").format(
            *(sql.Identifier(name) for name in (target.table, column, column)), target.victim
        )
        if connection.execute(text).rowcount:
            return True
    return False


def _inserts(connection: psycopg.Connection, target: Target) -> bool:
    """Insert the victim's row anew, with the columns that this role may name."""
    found = connection.execute(_WRITABLE, [target.table, "INSERT", "INSERT"]).fetchall()
    names = sql.SQL(", ").join(sql.Identifier(name) for (name,) in found)
    if not found:
        return False
    query = sql.SQL(
        "INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE"
        " SELECT {names} FROM json_populate_record(NULL::{table}, {row})"
    ).format(table=sql.Identifier(target.table), names=names, row=target.row)
    return connection.execute(query).rowcount > 0


def _truncates(connection: psycopg.Connection, target: Target) -> bool:
    connection.execute(_query("TRUNCATE {table} CASCADE", target))
    return True


ACTS: dict[str, Callable[[psycopg.Connection, Target], bool]] = {
    "read": lambda c, t: _any(c, "SELECT 1 FROM {table} WHERE tenant_id = {victim}", t),
    "lock": lambda c, t: _any(c, "SELECT 1 FROM {table} WHERE tenant_id = {victim} FOR UPDATE", t),
    # An error tells of a row that the policy should have hidden from the expression.
    "make it fail": lambda c, t: _any(
        c,
        "SELECT 1 FROM {table} WHERE 1 / (tenant_id <> {victim}::uuid)::int < 0",
        t,
    ),
    "copy out": _copies_out,
    "copy in": _copies_in,
    "insert": _inserts,
    "update": _updates,
    "give away": lambda c, t: _any(
        c, "UPDATE {table} SET tenant_id = {victim} RETURNING tenant_id", t
    ),
    "delete": lambda c, t: (
        c.execute(_query("DELETE FROM {table} WHERE tenant_id = {victim}", t)).rowcount > 0
    ),
    "delete returning": lambda c, t: _any(
        c, "DELETE FROM {table} WHERE tenant_id = {victim} RETURNING tenant_id", t
    ),
    "truncate": _truncates,
}


def become(connection: psycopg.Connection, tenant: str | None) -> None:
    connection.execute("SELECT set_config('role', 'pulse_app', true)")
    if tenant is not None:
        connection.execute("SELECT set_config('app.tenant_id', %s, true)", [tenant])


def _nothing(connection: psycopg.Connection, target: Target) -> None:
    """Begin from a connection that has done nothing of interest."""


def _victim_was_here(connection: psycopg.Connection, target: Target) -> None:
    """Let the victim use the connection, and prepare the very statement that reads its row."""
    with connection.transaction():
        become(connection, target.victim)
        with suppress(psycopg.errors.InsufficientPrivilege), connection.transaction():
            ACTS["read"](connection, target)


def _bare_login(connection: psycopg.Connection, thief: str, _: str) -> None:
    become(connection, thief)
    connection.execute("RESET ROLE")


def _after_an_error(connection: psycopg.Connection, _: str, victim: str) -> None:
    with suppress(psycopg.errors.DivisionByZero), connection.transaction():
        become(connection, victim)
        connection.execute("SELECT 1/0")
    become(connection, None)


STATES = [
    State("as another tenant", _nothing, lambda c, thief, _: become(c, thief)),
    State("without a tenant", _nothing, lambda c, _thief, _victim: become(c, None)),
    State("with an empty tenant", _nothing, lambda c, _thief, _victim: become(c, "")),
    State("with a malformed tenant", _nothing, lambda c, _thief, _victim: become(c, "1' OR '1")),
    State("after RESET ROLE", _nothing, _bare_login),
    State("after an error of the victim's", _nothing, _after_an_error),
    State("after the victim, as another", _victim_was_here, lambda c, thief, _: become(c, thief)),
    State("after the victim, as nobody", _victim_was_here, lambda c, _t, _v: become(c, None)),
]
OWN = State("as the victim itself", _nothing, lambda c, _, victim: become(c, victim))
