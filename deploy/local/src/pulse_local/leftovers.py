"""Remembers the processes that the stack started: a later run ends what a crash left behind."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import threading
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS_TO_END = 10.0
# Two processes with one pid are told apart by when they began; clocks differ by rounding only.
_SAME_START_SECONDS = 1.0


class Registry:
    """The started processes' ids and start times, in a file that outlives the supervisor."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._started: dict[str, tuple[int, float]] = {}

    def add(self, name: str, pid: int) -> None:
        """Remember a process that was just started."""
        try:
            created = psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            return
        with self._lock:
            self._started[name] = (pid, created)
            self._write()

    def remove(self, name: str) -> None:
        """Forget a process that was stopped."""
        with self._lock:
            self._started.pop(name, None)
            self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps(self._started), encoding="utf-8")
        beside.replace(self._path)


def end_leftovers(path: Path) -> list[str]:
    """End the processes that a supervisor which was itself killed left running; return their names.

    Only call it while holding the data folder's lock: else they are not left over but in use.
    """
    found = _running(path)
    for process in found.values():
        with contextlib.suppress(psutil.Error):
            # SIGINT: PostgreSQL's fast shutdown, and an ordinary end for everything else.
            process.send_signal(signal.SIGINT)
    _, alive = psutil.wait_procs(list(found.values()), timeout=_SECONDS_TO_END)
    for process in alive:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return sorted(found)


def _running(path: Path) -> dict[str, psutil.Process]:
    try:
        remembered = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    found = {}
    for name, (pid, created) in remembered.items():
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(pid)
            # The pid alone may be another's by now.
            if abs(process.create_time() - created) < _SAME_START_SECONDS:
                found[name] = process
    return found
