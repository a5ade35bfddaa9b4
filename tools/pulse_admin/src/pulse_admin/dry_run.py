"""Apply what is pending to a copy made for it, and watch: which tables, how many rows, which locks and for how long.

A lock is held until its migration commits, so its time is what a request on that table may wait.  A second connection
looks while the migration runs, to date each lock; what it was too slow to see is dated to the end.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
from psycopg import conninfo, sql

from pulse_admin.failure import AdminError
from pulse_common.migrations import Migration, read

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PREFIX = "pulse_dry_run_"
LOOK_SECONDS = 0.002
_LOCKS = """
    SELECT l.relation, l.mode FROM pg_locks l
     WHERE l.pid = %s AND l.locktype = 'relation' AND l.granted AND l.relation >= 16384
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
_TABLES = """
    SELECT oid::bigint, oid::regclass::text FROM pg_class
     WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname <> 'schema_migrations'
"""
#: What stops no request: reading takes the first, writing the third.
_HARMLESS = ("AccessShareLock", "RowShareLock", "RowExclusiveLock")


@dataclass(frozen=True, slots=True)
class Lock:
    table: str
    mode: str
    rows: int
    seconds: float

    @property
    def stops_requests(self) -> bool:
        return self.mode not in _HARMLESS


@dataclass(frozen=True, slots=True)
class Report:
    """What one migration did to tables that were there before it."""

    migration: str
    seconds: float
    locks: tuple[Lock, ...]


@dataclass(slots=True)
class _Watcher:
    """Looks at another connection's locks until told to stop."""

    url: str
    pid: int
    seen: dict[tuple[int, str], float] = field(default_factory=dict)
    _done: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            while not self._done.wait(LOOK_SECONDS):
                now = time.monotonic()
                for relation, mode in connection.execute(_LOCKS, [self.pid]):
                    self.seen.setdefault((int(relation), str(mode)), now)

    @contextmanager
    def watching(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._done.set()
            thread.join()


@contextmanager
def copied(url: str) -> Iterator[str]:
    """Yield the URL of a copy of the database at ``url``, which is only read, and drop the copy afterwards.

    Raises:
        AdminError: the database is in use.
    """
    source = conninfo.conninfo_to_dict(url)["dbname"]
    name = f"{PREFIX}{uuid4().hex[:12]}"
    server = conninfo.make_conninfo(url, dbname="postgres")
    with psycopg.connect(server, autocommit=True) as connection:
        try:
            connection.execute(
                sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                    sql.Identifier(name), sql.Identifier(str(source))
                )
            )
        except psycopg.errors.ObjectInUse as error:
            raise AdminError(
                f"{source} is in use, and PostgreSQL copies no database that is: restore a backup of it and name that"
            ) from error
        try:
            yield conninfo.make_conninfo(url, dbname=name)
        finally:
            connection.execute(
                sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name))
            )


def rehearse(url: str, db_dir: Path) -> list[Report]:
    """Apply what is pending to the copy at ``url``; roles are the whole server's, so roles.sql is not run.

    Raises:
        AdminError: this is not a copy that ``copied`` made, or a migration was edited or is gone.
        psycopg.Error: a migration failed, as it would on the real one.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        if not str(connection.info.dbname).startswith(PREFIX):
            raise AdminError(f"{connection.info.dbname} is no copy of ours, so it is not touched")
        wanted = read(db_dir / "migrations")
        rows = connection.execute("SELECT name, sha256 FROM schema_migrations ORDER BY number")
        applied = [(str(name), str(digest)) for name, digest in rows]
        if applied != [(one.name, one.sha256) for one in wanted[: len(applied)]]:
            raise AdminError("what was applied is not what the files say: pulse-admin knows no way")
        connection.execute("SET lock_timeout = '10s'; SET statement_timeout = '5min'")
        return [_rehearse_one(connection, url, one) for one in wanted[len(applied) :]]


def _rehearse_one(connection: psycopg.Connection, url: str, migration: Migration) -> Report:
    tables = {int(oid): str(name) for oid, name in connection.execute(_TABLES)}
    pid = connection.info.backend_pid
    watcher = _Watcher(url, pid)
    with watcher.watching():
        began = time.monotonic()
        with connection.transaction():
            connection.execute(migration.sql.encode())
            ended = time.monotonic()
            held = connection.execute(_LOCKS, [pid]).fetchall()
            connection.execute(
                "INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
                [migration.number, migration.name, migration.sha256],
            )
    locks = [
        Lock(
            table=tables[relation],
            mode=str(mode),
            rows=_rows(connection, relation, tables[relation]),
            seconds=ended - watcher.seen.get((relation, mode), ended),
        )
        for relation, mode in held
        if relation in tables
    ]
    locks.sort(key=lambda lock: (lock.table, lock.mode))
    return Report(migration.name, ended - began, tuple(locks))


def _rows(connection: psycopg.Connection, oid: int, name: str) -> int:
    """Count, unless the migration dropped the table."""
    if connection.execute("SELECT FROM pg_class WHERE oid = %s", [oid]).fetchone() is None:
        return 0
    row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.SQL(name))).fetchone()
    return int(row[0]) if row else 0
