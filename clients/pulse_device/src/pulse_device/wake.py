"""Wake the one loop that owns the connection, from another thread or from a signal handler."""

from __future__ import annotations

import contextlib
import select
import socket
from typing import Protocol


class HasDescriptor(Protocol):
    def fileno(self) -> int: ...


class Waker:
    """A byte through a socket pair: the only thing that is safe in a signal handler everywhere."""

    def __init__(self) -> None:
        self._receiver, self._sender = socket.socketpair()
        self._receiver.setblocking(False)  # noqa: FBT003 - the API of socket
        self._sender.setblocking(False)  # noqa: FBT003 - the API of socket

    def wake(self) -> None:
        # A full pair already means "awake", a closed one "nobody waits".
        with contextlib.suppress(OSError):
            self._sender.send(b"\0")

    def wait(
        self,
        *,
        timeout_seconds: float,
        reading: HasDescriptor | None = None,
        writing: HasDescriptor | None = None,
    ) -> tuple[bool, bool]:
        """Wait until awake, or one of the sockets is ready; say which: (readable, writable)."""
        readers = [each for each in (self._receiver, reading) if each is not None]
        writers = [] if writing is None else [writing]
        readable, writable, _ = select.select(readers, writers, [], timeout_seconds)
        if self._receiver in readable:
            with contextlib.suppress(BlockingIOError):
                self._receiver.recv(4096)
        return reading in readable, bool(writable)

    def close(self) -> None:
        self._sender.close()
        self._receiver.close()
