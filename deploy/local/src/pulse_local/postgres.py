"""The embedded PostgreSQL: a Python package's binaries, this checkout's cluster, one TCP port."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

from pulse_local.database import database_url
from pulse_local.postgres_binaries import binary, let_through, unprivileged_account
from pulse_local.processes import Account, Command, identity

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUPERUSER = "postgres"


class PostgresSetupError(Exception):
    """The cluster could not be made; the message carries initdb's own words."""


def postgres_command(
    *, cluster: Path, port: int, password: str, environment: Mapping[str, str]
) -> Command:
    """Make the cluster unless it is there and say how its server is started."""
    account = unprivileged_account()
    _make_cluster(cluster, password, environment, account)
    return Command(
        name="postgres",
        arguments=(str(binary("postgres")), "-D", str(cluster), *_settings(port)),
        environment=environment,
        ready=lambda: _accepts_logins(superuser_url(password, port)),
        # "Fast" shutdown: ends connections and flushes. SIGTERM would wait for clients to leave.
        stop_signal=signal.SIGINT,
        run_as=account,
    )


def superuser_url(password: str, port: int, database: str = "postgres") -> str:
    """Say how the superuser logs in: for the migration runner and the supervisor alone."""
    return database_url(_SUPERUSER, password, port, database)


def _settings(port: int) -> tuple[str, ...]:
    settings = {
        "port": str(port),
        # TCP on the loopback and nothing else: a path to a socket could be too long, and whoever
        # may open a socket file would be one more door to think about.
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
        "max_connections": "200",
        "password_encryption": "scram-sha-256",
        "timezone": "UTC",
        "log_timezone": "UTC",
        "log_destination": "stderr",
        "logging_collector": "off",
        "log_line_prefix": "%m [%p] %u ",
        "log_min_duration_statement": "1000",
        # Bound parameters are tenants' data; they do not belong into a log.
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        # Plans here are short; compiling them costs more than it saves.
        "jit": "off",
    }
    return tuple(word for name, value in settings.items() for word in ("-c", f"{name}={value}"))


def _make_cluster(
    cluster: Path, password: str, environment: Mapping[str, str], account: Account | None
) -> None:
    cluster.mkdir(mode=0o700, parents=True, exist_ok=True)
    if account is not None:
        let_through(cluster)
        os.chown(cluster, *account)
    if (cluster / "PG_VERSION").exists():
        return
    with tempfile.NamedTemporaryFile("w", prefix="pulse-", suffix=".pw") as password_file:
        password_file.write(password)
        password_file.flush()
        if account is not None:
            os.chown(password_file.name, *account)
        _run_initdb(cluster, Path(password_file.name), environment, account)


def _run_initdb(
    cluster: Path, password_file: Path, environment: Mapping[str, str], account: Account | None
) -> None:
    finished = subprocess.run(  # noqa: S603 - the arguments are this module's own
        [
            str(binary("initdb")),
            f"--pgdata={cluster}",
            f"--username={_SUPERUSER}",
            f"--pwfile={password_file}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            # The same order of text on Linux and macOS, whatever locales are installed.
            "--locale=C",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ],
        env=dict(environment),
        cwd="/",
        **identity(account),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode != 0:
        raise PostgresSetupError(
            f"initdb could not make the cluster in {cluster} (exit code {finished.returncode}):\n"
            f"{finished.stderr.strip()}"
        )


def _accepts_logins(url: str) -> bool:
    try:
        with psycopg.connect(url, connect_timeout=2) as connection:
            return connection.execute("select 1").fetchone() is not None
    except psycopg.OperationalError:
        return False
