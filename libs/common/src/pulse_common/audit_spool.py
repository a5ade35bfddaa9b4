"""Lines on disk until the database has them: appended one by one, taken in whole segments, never more than allowed.

A line is handed to the operating system before ``append`` returns, so a process that is killed loses none.  It is not
synced there: a machine that loses its power loses what was not flushed yet, unless ``sync`` was called (the flusher
does, for what the database did not take).

Each process has a folder of its own, locked while it lives; on start it takes over the segments of folders whose lock
nobody holds, so replicas may share a volume and a crash leaves no orphans.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import time
from typing import TYPE_CHECKING

import structlog

from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

log = structlog.get_logger(__name__)

SEGMENT_BYTES = 1024 * 1024
SPOOL_BYTES = 64 * 1024 * 1024
_LOCK = "lock"
_SUFFIX = ".rows"


class Spool:
    """Make one with ``open``."""

    def __init__(self, folder: Path, lock: int, *, most_bytes: int) -> None:
        self._folder = folder
        self._lock = lock
        self._most_bytes = most_bytes
        self._closed = sorted(folder.glob(f"*{_SUFFIX}"))
        self._closed_bytes = sum(path.stat().st_size for path in self._closed)
        self._file = -1
        self._path = folder
        self._size = 0

    @classmethod
    def open(cls, base: Path, *, most_bytes: int = SPOOL_BYTES) -> Spool:
        """Make this process's folder below ``base`` and take over what dead processes left there."""
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder = base / str(new_id())
        folder.mkdir(mode=0o700)
        lock = _take_lock(folder)
        assert lock is not None  # nobody else knows this folder yet
        for left in sorted(base.iterdir()):
            if left != folder and left.is_dir():
                _take_over(left, folder)
        return cls(folder, lock, most_bytes=most_bytes)

    @property
    def size(self) -> int:
        return self._closed_bytes + self._size

    def append(self, line: bytes) -> bool:
        """Keep ``line``, which ends in a newline; False when there is no room for it."""
        if self.size + len(line) > self._most_bytes:
            return False
        if self._size >= SEGMENT_BYTES:
            self.close_segment()
        try:
            if self._file < 0:
                self._begin()
            written = os.write(self._file, line)
        except OSError as error:
            log.warning("audit_spool_failed", error=repr(error))
            return False
        if written < len(line):
            # The disk is full: half a line must not be continued by the next one.
            os.ftruncate(self._file, self._size)
            return False
        self._size += written
        return True

    def close_segment(self) -> None:
        """End the running segment, so that it can be taken."""
        if self._file < 0:
            return
        os.close(self._file)
        self._file = -1
        self._closed.append(self._path)
        self._closed_bytes += self._size
        self._size = 0

    def segments(self) -> Sequence[Path]:
        """The ended segments, oldest first."""
        return tuple(self._closed)

    def discard(self, segment: Path) -> None:
        """Forget a segment that the database has."""
        self._closed_bytes -= segment.stat().st_size
        segment.unlink()
        self._closed.remove(segment)

    def reject(self, line: bytes) -> None:
        """Keep a line that the database refuses, where a person finds it."""
        with (self._folder.parent / "rejected").open("ab") as file:
            file.write(line)

    def sync(self) -> None:
        """Bring the ended segments to the disk itself."""
        for segment in self._closed:
            with segment.open("rb") as file:
                os.fsync(file.fileno())

    def close(self) -> None:
        """Let go; what is left is for whoever opens the spool next."""
        self.close_segment()
        if not self._closed:
            shutil.rmtree(self._folder, ignore_errors=True)
        os.close(self._lock)

    def _begin(self) -> None:
        self._path = self._folder / f"{time.time_ns():020d}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_EXCL | os.O_CLOEXEC
        self._file = os.open(self._path, flags, 0o600)


def whole_lines(segment: Path) -> bytes:
    """Read a segment without the torn line that a crash may have left at its end."""
    content = segment.read_bytes()
    return content[: content.rfind(b"\n") + 1]


def _take_over(left: Path, folder: Path) -> None:
    lock = _take_lock(left)
    if lock is None:
        return
    try:
        for segment in sorted(left.glob(f"*{_SUFFIX}")):
            segment.replace(folder / segment.name)
        shutil.rmtree(left, ignore_errors=True)
    finally:
        os.close(lock)


def _take_lock(folder: Path) -> int | None:
    try:
        file = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:
        return None  # another process took it over just now
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    return file
