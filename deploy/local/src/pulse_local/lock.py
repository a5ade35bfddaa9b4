"""One supervisor a data folder: a lock that the operating system drops when its holder dies."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class DataFolderInUseError(Exception):
    """Another process runs a stack on this folder; the message says which."""


class DataLock:
    """An exclusive lock on a data folder, held from `take` to `release` or the process's end."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self._path = data / "run" / "lock"
        self._descriptor: int | None = None

    def take(self) -> None:
        """Take the lock or raise DataFolderInUseError at once."""
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Close-on-exec is Python's default: no child holds the lock on after the supervisor's end.
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DataFolderInUseError(
                f"Pulse is running on {self._data} already (process {holder}). "
                "Stop it with Ctrl-C in its terminal first."
            ) from error
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock up; harmless when it is not held."""
        if self._descriptor is None:
            return
        os.close(self._descriptor)
        self._descriptor = None
