"""Lets one log line through in a while, and counts those that it held back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Throttle:
    def __init__(self, seconds: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._monotonic = monotonic
        self._next = float("-inf")
        self._held_back = 0

    def passes(self) -> int | None:
        """Return how many were held back since the last that passed; None: hold this one back too."""
        now = self._monotonic()
        if now < self._next:
            self._held_back += 1
            return None
        held_back, self._held_back = self._held_back, 0
        self._next = now + self._seconds
        return held_back
