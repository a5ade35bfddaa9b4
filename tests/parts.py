"""The real parts that tests share: a throw-away PostgreSQL with the whole schema, and a throw-away NATS server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pulse_common import migrations
from pulse_local.database import create_database, database_url, set_login_passwords
from pulse_local.leftovers import Registry
from pulse_local.postgres import postgres_command, superuser_url
from pulse_local.processes import Part
from pulse_local.secrets import LOGINS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[1]
PASSWORD = "a-test-password-of-enough-length"


@dataclass(frozen=True, slots=True)
class Postgres:
    """A migrated database; ``url`` says how one service's login reaches it, ``part`` is its server."""

    port: int
    part: Part

    def url(self, login: str) -> str:
        return database_url(login, PASSWORD, self.port)

    @property
    def superuser(self) -> str:
        return superuser_url(PASSWORD, self.port, "pulse")


@contextmanager
def running_postgres(folder: Path) -> Iterator[Postgres]:
    """Start a cluster below ``folder`` (a short path, open to other users) and migrate it."""
    port = free_port()
    command = postgres_command(
        cluster=folder / "pg",
        port=port,
        password=PASSWORD,
        environment={"PATH": os.defpath, "LANG": "C.UTF-8"},
    )
    part = Part(command, logs=folder / "logs", registry=Registry(folder / "registry.json"))
    part.start()
    try:
        create_database(superuser_url(PASSWORD, port))
        migrations.apply(superuser_url(PASSWORD, port, "pulse"), ROOT / "db")
        set_login_passwords(superuser_url(PASSWORD, port), dict.fromkeys(LOGINS, PASSWORD))
        yield Postgres(port, part)
    finally:
        part.stop()


@dataclass(slots=True)
class Nats:
    """One nats-server with JetStream on file storage, which a test may stop and start."""

    port: int
    store: Path
    process: subprocess.Popen[bytes] | None = None
    arguments: tuple[str, ...] = ()
    """More of them: of a server that is one of several, say."""

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        server = Path(sys.executable).parent / "nats-server"
        arguments = [
            *(str(server), "-a", "127.0.0.1", "-p", str(self.port), "-js", "-sd"),
            str(self.store),
        ]
        self.process = subprocess.Popen(
            [*arguments, "--user", "test", "--pass", PASSWORD, *self.arguments],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Let a child process hear and do nothing for a while, as on a machine that hangs."""
    os.kill(pid, signal.SIGSTOP)
    # Its threads on other cores go on until they hear of it.
    os.waitid(os.P_PID, pid, os.WSTOPPED)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def wait_for_port(port: int, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        else:
            return
