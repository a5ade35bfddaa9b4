"""Notices that somebody set the machine's clock, and by how much: until it is known who was right, both are believed.

Devices' times are judged against ours.  After a step of an hour every reading would look an hour early or late, and be
refused although it was acknowledged.  So limits on times are wider by the step for ``BELIEVED_SECONDS``.
"""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ingest_worker import metrics

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

log = structlog.get_logger(__name__)

NOTICED = timedelta(seconds=2)
BELIEVED_SECONDS = 3600.0
DRIFT_SECONDS = 60.0
"""Less than ``NOTICED`` in this time is a clock that is being slewed."""
ZERO = timedelta()


class Steps:
    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.leeway = ZERO
        """How far the clock is from where it would be had nobody set it."""
        self._monotonic = monotonic
        self._reference: tuple[datetime, float] | None = None
        self._noticed_at = 0.0

    def look(self, now: datetime) -> None:
        """Compare the clock with the time that has passed."""
        passed_to = self._monotonic()
        if self._reference is None:
            self._reference = (now, passed_to)
        then, passed_from = self._reference
        off = abs(now - then - timedelta(seconds=passed_to - passed_from))
        if off < NOTICED:
            self.leeway = ZERO
            if passed_to - passed_from >= DRIFT_SECONDS:
                self._reference = (now, passed_to)
            return
        if self.leeway == ZERO:
            self._noticed_at = passed_to
            metrics.CLOCK_STEPS.inc()
            log.warning("clock_stepped", seconds=off.total_seconds())
        self.leeway = off
        if passed_to - self._noticed_at >= BELIEVED_SECONDS:
            self._reference, self.leeway = (now, passed_to), ZERO
