"""What waits to be published: bounded, filled by the source's thread, emptied by the link."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CAPACITY = 10_000


@dataclass(frozen=True, slots=True)
class Outgoing:
    topic: str
    payload: bytes


class Outbox:
    """A new outbox counts as online: a full one drops nothing before the first failed attempt.

    `on_change` is called after an addition, from the thread that added.
    """

    def __init__(self, *, on_change: Callable[[], None], capacity: int = CAPACITY) -> None:
        self._on_change = on_change
        self._capacity = capacity
        self._waiting: deque[Outgoing] = deque()
        self._changed = threading.Condition()
        self._offline = False
        self._finished = False
        self._stopped = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        return self._dropped

    @property
    def drained(self) -> bool:
        """No more will come and none is waiting (what was taken may still be unacknowledged)."""
        with self._changed:
            return self._finished and not self._waiting

    def put_or_drop(self, item: Outgoing) -> None:
        """Add at once; when full the oldest goes, since newer readings are worth more."""
        with self._changed:
            self._append(item)
        self._on_change()

    def put_paced(self, item: Outgoing) -> None:
        """Add when there is room; while offline do not wait but drop the oldest.

        A fast pipe is slowed down to the speed of the broker, but a live one is not held up by an
        outage: its reader would stamp readings with the time of the reconnect.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self._offline)
            self._append(item)
        self._on_change()

    def put_when_room(self, item: Outgoing) -> None:
        """Add when there is room, however long that takes: a file does not run away."""
        with self._changed:
            self._changed.wait_for(self._has_room)
            self._append(item)
        self._on_change()

    def take(self) -> Outgoing | None:
        with self._changed:
            if not self._waiting:
                return None
            item = self._waiting.popleft()
            self._changed.notify_all()
            return item

    def waiting(self) -> int:
        with self._changed:
            return len(self._waiting)

    def go_online(self) -> None:
        with self._changed:
            self._offline = False

    def go_offline(self) -> None:
        with self._changed:
            self._offline = True
            self._changed.notify_all()

    def finish(self) -> None:
        """Say that the source has ended."""
        with self._changed:
            self._finished = True
        self._on_change()

    def stop(self) -> None:
        """Let go of a source that waits for room; whatever it adds now is lost on purpose."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def _has_room(self) -> bool:
        return self._stopped or len(self._waiting) < self._capacity

    def _append(self, item: Outgoing) -> None:
        if len(self._waiting) >= self._capacity:
            self._waiting.popleft()
            self._dropped += 1
        self._waiting.append(item)
