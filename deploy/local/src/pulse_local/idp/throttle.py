"""Slows the guessing of passwords: failures are counted per name and over all names, in a moving minute."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_SECONDS = 60
FAILURES_PER_NAME = 5
FAILURES_IN_ALL = 60
_EVERYBODY = ""


class Throttle:
    """An attempt counts as failed from its start until it is forgiven, so parallel guesses count too."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: dict[str, deque[float]] = {}

    def begin(self, username: str) -> bool:
        """Count an attempt; False when it must not be made now."""
        now = self._clock()
        name = username.strip().lower() or "-"
        self._forget_before(now - WINDOW_SECONDS)
        if len(self._failures.get(name, ())) >= FAILURES_PER_NAME:
            return False
        if len(self._failures.get(_EVERYBODY, ())) >= FAILURES_IN_ALL:
            return False
        for key in (name, _EVERYBODY):
            self._failures.setdefault(key, deque()).append(now)
        return True

    def forgive(self, username: str) -> None:
        """Take back the latest attempt: the password was right."""
        for key in (username.strip().lower() or "-", _EVERYBODY):
            if self._failures.get(key):
                self._failures[key].pop()

    def _forget_before(self, moment: float) -> None:
        for key in list(self._failures):
            times = self._failures[key]
            while times and times[0] <= moment:
                times.popleft()
            if not times:
                del self._failures[key]
