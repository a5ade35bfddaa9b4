"""The whole embedded stack as one object: for `make run` and, in a throw-away folder, for tests."""

from __future__ import annotations

import threading
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pulse_local.authority import make_authority
from pulse_local.database import DATABASE, create_database, migrate, set_login_passwords
from pulse_local.environments import Environments
from pulse_local.leftovers import Registry, end_leftovers
from pulse_local.lock import DataLock
from pulse_local.parts import AUTHORITY, MIGRATE, Planned, plan_parts, plan_postgres
from pulse_local.ports import ports_from, refuse_taken_ports
from pulse_local.postgres import superuser_url
from pulse_local.processes import Command, Part, PartFailedError
from pulse_local.secrets import load_or_create_secrets
from pulse_local.steps import Step, StepDone, reversed_steps, run_steps
from pulse_local.tls import ensure_tls_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

REPOSITORY = Path(__file__).resolve().parents[4]
_FOLDER_MODE = 0o700


class Stack:
    """Every part of Pulse on this machine. `stop` is safe at any time, also after a failed start."""

    def __init__(
        self,
        data: Path,
        port_base: int,
        *,
        overrides: Mapping[str, Mapping[str, str]] | None = None,
        report: Callable[[StepDone], None] = lambda _: None,
    ) -> None:
        self.data = data.resolve()
        self.ports = ports_from(port_base)
        self._overrides = overrides or {}
        self._report = report
        self._lock = DataLock(self.data)
        self._parts: dict[str, Part] = {}
        self._needs: dict[str, frozenset[str]] = {}
        self._adding = threading.Lock()
        self._stopping = False

    def start(self) -> None:
        """Start everything and return when all is ready; raises what names the part that is not."""
        self._prepare_folder()
        self._lock.take()
        try:
            self._start_locked()
        except BaseException:
            # Ctrl-C in the middle of a start, too.
            self.stop()
            raise

    def stop(self) -> None:
        """Stop every part after those that need it; nothing keeps running."""
        with self._adding:
            self._stopping = True
        steps = [
            Step(
                name=name,
                after=frozenset(need for need in self._needs[name] if need in self._parts),
                action=part.close,
            )
            for name, part in self.parts.items()
        ]
        run_steps(reversed_steps(steps), lambda _: None)
        self._lock.release()

    def part(self, name: str) -> Part:
        """Give one part, to kill or restart it."""
        return self._parts[name]

    @property
    def parts(self) -> dict[str, Part]:
        return dict(self._parts)

    @property
    def url(self) -> str:
        return self.environments.public_url

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    def add_part(self, command: Command, after: frozenset[str]) -> Part:
        """Take a further process under supervision (not started): it stops with the rest."""
        with self._adding:
            if self._stopping:
                raise PartFailedError(f"{command.name} was not started: the stack is stopping.")
            part = Part(command, logs=self.logs, registry=self._registry)
            self._parts[command.name] = part
            self._needs[command.name] = after
            return part

    def _prepare_folder(self) -> None:
        for folder in (self.data, self.logs, self.data / "run"):
            folder.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)

    def _start_locked(self) -> None:
        end_leftovers(self.data / "run" / "parts.json")
        refuse_taken_ports(self.ports)
        self._registry = Registry(self.data / "run" / "parts.json")
        self.secrets = load_or_create_secrets(self.data / "secrets.json")
        self.tls = ensure_tls_files(self.data / "tls", datetime.fromtimestamp(time.time(), UTC))
        self.environments = Environments(
            ports=self.ports, secrets=self.secrets, tls=self.tls, data=self.data
        )
        planned = plan_parts(self.environments, REPOSITORY, self._overrides)
        run_steps(
            [
                Step(name="postgres", action=self._start_postgres),
                Step(name=MIGRATE, after=frozenset({"postgres"}), action=self._migrate),
                Step(name=AUTHORITY, action=self._make_authority),
                *(self._step(one) for one in planned),
            ],
            self._report,
        )

    def _step(self, planned: Planned) -> Step:
        # A need of `migrate` is one of PostgreSQL when it comes to stopping.
        stops_before = {
            "postgres" if need == MIGRATE else need for need in planned.after if need != AUTHORITY
        }
        part = self.add_part(planned.command, frozenset(stops_before))
        return Step(name=part.name, after=planned.after, action=part.start)

    def _start_postgres(self) -> None:
        planned = plan_postgres(self.environments)
        self.add_part(planned.command, frozenset()).start()

    def _make_authority(self) -> None:
        """Make the devices' root once, in a folder that cert_worker is never told of."""
        make_authority(
            self.environments.of_service("cert_worker"),
            self.data / "root-ca",
            self.logs / "authority.log",
        )

    def _migrate(self) -> None:
        superuser = self.secrets.postgres_superuser
        create_database(superuser_url(superuser, self.ports.postgres))
        migrate(self.environments.of_migrations(REPOSITORY), self.logs / "migrate.log", REPOSITORY)
        set_login_passwords(
            superuser_url(superuser, self.ports.postgres, DATABASE), self.secrets.database
        )
