"""Apply ``db/roles.sql`` and the numbered migrations: forward only, one transaction each, one runner at a time.

Run as ``python -m pulse_common.migrations`` with MIGRATIONS_DATABASE_URL (a login that may create roles) and optionally
MIGRATIONS_DIR (the ``db`` folder).  A session-wide advisory lock keeps runners apart; ``lock_timeout`` keeps a
migration from queueing in front of the whole service; ``statement_timeout`` bounds it.  The SHA-256 of each applied
file is kept: an edited, missing or renumbered one stops the runner before anything is changed.  So does a grant or a
policy that no migration made (``declared_access``); what they did make is written down for the services to compare.

docs/decisions/0002-migrations.md says why this is not a library.
"""

from __future__ import annotations

import hashlib
import re
import sys
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from pulse_common import settings
from pulse_common.declared_access import FACTS, REMEMBERED, differences

_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_LOCK = "SELECT pg_advisory_lock(hashtext('pulse.migrations'))"
_TABLE = """
    CREATE TABLE IF NOT EXISTS schema_migrations (
        number     integer     NOT NULL PRIMARY KEY,
        name       text        NOT NULL,
        sha256     text        NOT NULL,
        applied_at timestamptz NOT NULL DEFAULT now()
    )
"""


class MigrationError(Exception):
    """The files and the database disagree; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


class MigrationSettings(BaseSettings):
    migrations_database_url: SecretStr
    migrations_dir: Path = Path("db")


def read(folder: Path) -> list[Migration]:
    """Read the migrations of ``folder`` in order.

    Raises:
        MigrationError: a file is misnamed, or a number is missing or used twice.
    """
    found = []
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationError(f"{path.name} is not named NNNN_what.sql")
        found.append(Migration(int(match[1]), path.name, path.read_text()))
    numbers = [migration.number for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationError(f"numbers must run from 1 without gaps, got {numbers}")
    return found


def apply(url: str, db_dir: Path) -> list[str]:
    """Bring the database to the newest schema and return the names of what was applied.

    Raises:
        MigrationError: an applied migration was edited or is gone, or access grew by hand.
        psycopg.Error: a statement failed; that migration was rolled back, the ones before it stay.
    """
    wanted = read(db_dir / "migrations")
    with psycopg.connect(url, autocommit=True) as conn:
        conn.execute("SET lock_timeout = '10s'; SET statement_timeout = '5min'")
        conn.execute(_LOCK)
        _refuse_drift(conn)
        with conn.transaction():
            conn.execute((db_dir / "roles.sql").read_bytes())
            conn.execute(_TABLE)
            _remember_access(conn)
        applied = _applied(conn, wanted)
        return [_apply_one(conn, migration) for migration in wanted[applied:]]


def access(conn: psycopg.Connection) -> list[str]:
    """Return who may do what, one fact a line, as the catalogue has it now."""
    return [str(row[0]) for row in conn.execute(FACTS)]


def _refuse_drift(conn: psycopg.Connection) -> None:
    """Stop before a grant that somebody made by hand is taken for one of ours."""
    row = conn.execute(REMEMBERED).fetchone()
    if row is None or row[0] is None:
        return
    wider = differences(found=access(conn), declared=str(row[0]).splitlines())
    if wider:
        raise MigrationError("undo this first: " + "; ".join(wider))


def _remember_access(conn: psycopg.Connection) -> None:
    """Write down what there is, in the transaction that made it: no service sees the one without the other."""
    facts = sql.Literal("\n".join(access(conn)))
    conn.execute(sql.SQL("COMMENT ON TABLE schema_migrations IS {}").format(facts))


def _applied(conn: psycopg.Connection, wanted: list[Migration]) -> int:
    """Compare what was applied with the files and return how many there are."""
    rows = conn.execute("SELECT number, name, sha256 FROM schema_migrations ORDER BY number")
    count = 0
    for number, name, sha256 in rows:
        if number > len(wanted):
            raise MigrationError(f"{name} was applied but is not among the files")
        if wanted[number - 1].sha256 != sha256:
            raise MigrationError(f"{name} was edited after it was applied")
        count = number
    return count


def _apply_one(conn: psycopg.Connection, migration: Migration) -> str:
    with conn.transaction():
        conn.execute(migration.sql.encode())
        conn.execute(
            "INSERT INTO schema_migrations (number, name, sha256) VALUES (%s, %s, %s)",
            (migration.number, migration.name, migration.sha256),
        )
        _remember_access(conn)
    return migration.name


def main() -> None:
    try:
        given = settings.load(MigrationSettings)
        names = apply(given.migrations_database_url.get_secret_value(), given.migrations_dir)
    except (settings.SettingsError, MigrationError, psycopg.Error) as error:
        sys.exit(f"migrations: {error}")
    print("\n".join(f"applied {name}" for name in names) or "nothing to apply")  # noqa: T201


if __name__ == "__main__":
    main()
