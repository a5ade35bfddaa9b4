"""What the embedded PostgreSQL holds: the database, the schema, the services' passwords."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql

from pulse_local.processes import PartFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

DATABASE = "pulse"


def database_url(login: str, password: str, port: int, database: str = DATABASE) -> str:
    """Say how `login` reaches the server; passwords are hexadecimal and need no quoting."""
    return f"postgresql://{login}:{password}@127.0.0.1:{port}/{database}"


def create_database(superuser_url: str) -> None:
    """Create the database `pulse` unless it is there."""
    with psycopg.connect(superuser_url, autocommit=True) as connection:
        found = connection.execute("select 1 from pg_database where datname = %s", [DATABASE])
        if found.fetchone() is None:
            connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def migrate(environment: Mapping[str, str], log: Path, repository: Path) -> None:
    """Run the migration runner in a process of its own, as production does."""
    with log.open("ab") as output:
        finished = subprocess.run(
            [sys.executable, "-m", "pulse_common.migrations"],
            env=dict(environment),
            cwd=repository,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=120,
        )
    if finished.returncode != 0:
        last = log.read_text(encoding="utf-8", errors="replace").splitlines()[-15:]
        raise PartFailedError(
            f"The database migrations failed (exit code {finished.returncode}).\n  log: {log}\n"
            + "".join(f"  | {line}\n" for line in last)
            + "  Fix what the log names, or drop the data with `make reset`."
        )


def set_login_passwords(superuser_url: str, passwords: Mapping[str, str]) -> None:
    """Give every service's login its password; the logins come from db/roles.sql without one."""
    with psycopg.connect(superuser_url) as connection:
        # A password in the server's log would outlive every rotation.
        connection.execute("set local log_statement = 'none'")
        connection.execute("set local log_min_duration_statement = -1")
        for login, password in passwords.items():
            # ALTER ROLE takes no bound parameters; psycopg quotes the literal.
            connection.execute(
                sql.SQL("alter role {} with login password {}").format(
                    sql.Identifier(login), sql.Literal(password)
                )
            )
