"""Stay connected: one attempt after another until the input is delivered or somebody stops us."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

from pulse_device.endings import Left, Lost, Refused
from pulse_device.errors import BrokerRefusedError
from pulse_device.journal import one_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from pulse_device.backoff import Backoff
    from pulse_device.endings import Ended
    from pulse_device.journal import Journal
    from pulse_device.link import Link
    from pulse_device.outbox import Outbox
    from pulse_device.renewal import Renewal
    from pulse_device.rescue import Rescuer
    from pulse_device.sources import SourceThread
    from pulse_device.wake import Waker

# A connection that lasted less long is a failure too: else two devices with one identity would
# take over from each other without a pause.
STEADY_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Parts:
    link: Link
    outbox: Outbox
    source: SourceThread
    waker: Waker
    journal: Journal
    renewal: Renewal
    rescuer: Rescuer
    clock: Callable[[], datetime]
    fraction: Callable[[], float]
    backoff: Backoff


class Runner:
    def __init__(self, parts: Parts, *, exit_when_refused: bool) -> None:
        self._parts = parts
        self._exit_when_refused = exit_when_refused
        self._stop_asked = False
        self._failures = 0
        self._dropped_told = 0

    def stop(self) -> None:
        """Ask for a clean end; may be called from a signal handler."""
        self._stop_asked = True
        self._parts.waker.wake()

    def run(self) -> None:
        """Return when stopped or when all input is acknowledged.

        Raises BrokerRefusedError when the broker refuses and that is to be the end.
        """
        parts = self._parts
        parts.source.start()
        try:
            while not self._leaving():
                self._warn_about_certificate()
                parts.rescuer.attempt()
                ended = parts.link.run_once(parts.waker, self._leaving)
                delay_seconds = self._settle(ended)
                self._pause(delay_seconds)
            parts.source.raise_failure()
        finally:
            parts.source.stop()
            self._tell_end()

    def _leaving(self) -> bool:
        return self._stop_asked or (
            self._parts.outbox.drained and self._parts.link.unacknowledged == 0
        )

    def _settle(self, ended: Ended) -> float:
        """Return how long to wait before the next attempt."""
        parts = self._parts
        match ended:
            case Left():
                return 0.0
            case Refused(reason=reason):
                parts.outbox.go_offline()
                if self._exit_when_refused:
                    raise BrokerRefusedError(one_line(reason))
                delay_seconds = parts.backoff.after_refusal(parts.fraction())
                event = "connection_refused"
            case Lost(reason=reason, connected_seconds=connected_seconds):
                parts.outbox.go_offline()
                self._failures = 1 if connected_seconds >= STEADY_SECONDS else self._failures + 1
                delay_seconds = parts.backoff.after_failures(self._failures, parts.fraction())
                event = "connection_lost" if connected_seconds else "connection_failed"
            case _:
                assert_never(ended)
        parts.journal.warning(event, reason=reason, retry_in_seconds=f"{delay_seconds:.1f}")
        return delay_seconds

    def _pause(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not self._leaving() and (left := deadline - time.monotonic()) > 0:
            self._parts.waker.wait(timeout_seconds=left)
            self._tell_dropped()

    def _warn_about_certificate(self) -> None:
        lifetime, now = self._parts.renewal.lifetime, self._parts.clock()
        if lifetime.expired(now):
            self._parts.journal.warning("certificate_expired", not_after=lifetime.not_after)
        elif lifetime.renewal_due(now):
            self._parts.journal.warning(
                "certificate_renewal_due",
                not_after=lifetime.not_after,
                days_left=lifetime.days_left(now),
            )

    def _tell_dropped(self) -> None:
        """Tell the first loss at once, later ones each time that the count has doubled."""
        dropped = self._parts.outbox.dropped
        if dropped > 2 * self._dropped_told:
            self._dropped_told = dropped
            self._parts.journal.warning("readings_dropped", total=dropped)

    def _tell_end(self) -> None:
        self._parts.journal.info(
            "stopped",
            published=self._parts.link.published,
            unacknowledged=self._parts.link.unacknowledged,
            waiting=self._parts.outbox.waiting(),
            dropped=self._parts.outbox.dropped,
        )
