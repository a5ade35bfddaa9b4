"""One child process of the stack: started, found ready, found dead, stopped, killed, restarted."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple, TypedDict

from pulse_local.obituaries import describe_exit, last_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pulse_local.leftovers import Registry

_POLL_SECONDS = 0.05
_LARGEST_LOG_BYTES = 10 * 1024 * 1024

Ready = Callable[[], bool]


class Account(NamedTuple):
    """The operating system's ids that a part runs under."""

    user_id: int
    group_id: int


class _Identity(TypedDict):
    user: int | None
    group: int | None
    extra_groups: list[int] | None


class PartFailedError(Exception):
    """A part died or never became ready; the message names it, its log and a way out."""


@dataclass(frozen=True, kw_only=True)
class Command:
    """How one part is started, when it counts as ready and how it is asked to stop."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    ready: Ready
    ready_seconds: float = 45.0
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    # Only for a part that refuses to run as root (PostgreSQL).
    run_as: Account | None = None
    directory: Path = Path("/")


class Part:
    """A running (or stopped) part. Methods may be called from any thread."""

    def __init__(self, command: Command, *, logs: Path, registry: Registry) -> None:
        self._command = command
        self._registry = registry
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._closed = False
        self._lock = threading.RLock()
        self._log_begins = 0
        self.log = logs / f"{command.name}.log"

    @property
    def name(self) -> str:
        return self._command.name

    @property
    def pid(self) -> int:
        if self._process is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._process.pid

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def died_unasked(self) -> bool:
        """Say whether the process ended though nobody stopped or killed it through this object."""
        return self._process is not None and not self._stopping and self._process.poll() is not None

    def start(self) -> None:
        """Start the process and return once it is ready; raises PartFailedError when it is not."""
        self.launch()
        self.wait_until_ready()

    def launch(self) -> None:
        """Start the process without waiting."""
        with self._lock, self._open_log() as log:
            if self._closed:
                raise PartFailedError(f"{self.name} was not started: the stack is stopping.")
            self._stopping = False
            self._log_begins = log.tell()
            self._process = _spawn(self._command, log)
            self._registry.add(self.name, self._process.pid)

    def wait_until_ready(self) -> None:
        """Poll the readiness check; a death or the time-out raises PartFailedError."""
        deadline = time.monotonic() + self._command.ready_seconds
        while not self._command.ready():
            if self.died_unasked():
                raise PartFailedError(self.obituary())
            if self._stopping:
                raise PartFailedError(f"{self.name} was stopped while it started.")
            if time.monotonic() > deadline:
                seconds = self._command.ready_seconds
                raise PartFailedError(self._report(f"was not ready within {seconds:.0f} s"))
            time.sleep(_POLL_SECONDS)
        # Somebody else's process may have answered on the port while ours died for want of it.
        if self.died_unasked():
            raise PartFailedError(self.obituary())

    def stop(self) -> None:
        """Ask the process to end; kill its whole group when it does not within its time."""
        with self._lock:
            process = self._process
            self._stopping = True
            if process is None:
                return
            if process.poll() is None:
                process.send_signal(self._command.stop_signal)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(self._command.stop_seconds)
            # Also when it ended by itself: its own children must not outlive it.
            _kill_group(process)
            process.wait()
            self._registry.remove(self.name)

    def close(self) -> None:
        """Stop the process for good: a start that another thread is about to make is refused."""
        with self._lock:
            self._closed = True
            self.stop()

    def kill(self) -> None:
        """End the process as a crash would (SIGKILL, nothing is flushed): for tests."""
        with self._lock:
            self._stopping = True
            if self._process is None:
                return
            _kill_group(self._process)
            self._process.wait()
            self._registry.remove(self.name)

    def restart(self) -> None:
        """Stop the process if it runs, start it again and wait until it is ready."""
        self.stop()
        self.start()

    def obituary(self) -> str:
        """Describe the process's death for whoever sits at the terminal."""
        code = self._process.poll() if self._process is not None else None
        return self._report(f"ended by itself ({describe_exit(code)})")

    def _report(self, what: str) -> str:
        lines = last_lines(self.log, self._log_begins)
        return (
            f"{self.name} {what}.\n"
            f"  log: {self.log}\n"
            + "".join(f"  | {line}\n" for line in lines)
            + "  Fix what the log names and run `make run` again; "
            "`make reset` deletes the stack's data and starts afresh."
        )

    def _open_log(self) -> IO[bytes]:
        self.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        return os.fdopen(os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab")


def _spawn(command: Command, log: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - the arguments are this package's own
        command.arguments,
        env=dict(command.environment),
        cwd=command.directory,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        # A group of its own: Ctrl-C in the terminal reaches the supervisor alone, which stops
        # the parts in order.
        start_new_session=True,
        **identity(command.run_as),
    )


def identity(account: Account | None) -> _Identity:
    """Give subprocess's arguments that start a child as `account`; as ourselves without one."""
    if account is None:
        return _Identity(user=None, group=None, extra_groups=None)
    return _Identity(user=account.user_id, group=account.group_id, extra_groups=[])


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    # PermissionError is what macOS answers for a group of which only zombies are left.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
