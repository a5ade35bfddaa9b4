"""Watches the running stack: restarts what dies, as Kubernetes would, and gives up on what keeps dying."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_local.processes import PartFailedError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_local.stack import Stack

_MOST_RESTARTS = 3
_WITHIN_SECONDS = 120.0


class Supervisor:
    """Looks after the parts of one stack; `look` is called again and again."""

    def __init__(
        self, stack: Stack, *, clock: Callable[[], float], say: Callable[[str], None]
    ) -> None:
        self._stack = stack
        self._clock = clock
        self._say = say
        self._deaths: dict[str, list[float]] = {}

    def look(self) -> None:
        """Restart every part that died; raises PartFailedError for one that keeps dying."""
        for part in self._stack.parts.values():
            if not part.died_unasked():
                continue
            now = self._clock()
            recent = [at for at in self._deaths.get(part.name, []) if now - at < _WITHIN_SECONDS]
            self._deaths[part.name] = [*recent, now]
            if len(recent) >= _MOST_RESTARTS:
                raise PartFailedError(part.obituary())
            self._say(f"{part.name} ended by itself; starting it again (log: {part.log})")
            part.restart()
