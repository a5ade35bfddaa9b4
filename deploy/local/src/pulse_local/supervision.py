"""Watches the running stack: restarts what dies, as Kubernetes would, up to a point."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pulse_local.processes import PartFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from pulse_local.processes import Part

_MOST_RESTARTS = 3
_WITHIN_SECONDS = 120.0


class Supervised(Protocol):
    """What is looked after: a stack's parts by name."""

    @property
    def parts(self) -> Mapping[str, Part]:
        """Every part, stopped ones too."""


class Supervisor:
    """Looks after the parts of one stack; `look` is called again and again."""

    def __init__(
        self, stack: Supervised, *, clock: Callable[[], float], say: Callable[[str], None]
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
