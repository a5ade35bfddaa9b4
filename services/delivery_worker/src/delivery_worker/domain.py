"""Rules of delivery: which messages a route wants, when a failed one is tried again, and when a route is given up."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from delivery_worker.calls import Attempt
    from pulse_common.delivery_events import RouteStatus

#: After the first attempt; each with up to a fifth of jitter either way.  27.6 hours in all.
RETRY_SECONDS: Final = (5.0, 300.0, 1800.0, 7200.0, 18_000.0, 36_000.0, 36_000.0)
MOST_ATTEMPTS: Final = len(RETRY_SECONDS) + 1
JITTER: Final = 0.2
LONGEST_ASKED_SECONDS: Final = 36_000.0
#: What an ordered route puts aside: of one device, and in all.
MOST_HELD_OF_DEVICE: Final = 1000
MOST_HELD: Final = 5000
TOLD_AFTER: Final = timedelta(days=1)
DISABLED_AFTER: Final = timedelta(days=3)
SECRET_OVERLAP: Final = timedelta(hours=24)
BREAKER_FAILURES: Final = 5
BREAKER_SECONDS: Final = (10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    tenant_id: UUID
    route_id: UUID
    name: str
    url: str
    event_types: tuple[str, ...]
    device_ids: frozenset[UUID]
    group_ids: frozenset[UUID]
    metrics: frozenset[str]
    template: str | None
    ordered: bool
    timeout_seconds: int
    concurrency: int
    status: RouteStatus
    failing_since: datetime | None
    failing_told_at: datetime | None
    secret_sealed: bytes
    previous_secret_sealed: bytes | None
    previous_secret_until: datetime | None
    version: int
    tenant_active: bool

    @property
    def is_delivering(self) -> bool:
        """Paused and disabled routes, and those of a suspended tenant, collect and wait."""
        return self.status == "active" and self.tenant_active

    def wants(
        self,
        event_type: str,
        device: UUID | None,
        groups: frozenset[UUID],
        metrics: frozenset[str],
    ) -> bool:
        """Say whether a message is collected; ``groups`` are those of its device."""
        if self.status == "unverified" or event_type not in self.event_types:
            return False
        if (self.device_ids or self.group_ids) and not (
            device in self.device_ids or self.group_ids & groups
        ):
            return False
        return not (metrics and self.metrics) or not self.metrics.isdisjoint(metrics)


def delivery_id_of(route: UUID, subject: str, data: bytes) -> str:
    """Name a delivery by what it is of: a message that comes twice has one name."""
    return f"msg_{hashlib.sha256(f'{route} {subject} '.encode() + data).hexdigest()[:40]}"


def retry_after(
    attempts: int, uniform: Callable[[float, float], float], asked: float | None = None
) -> float | None:
    """Return how long to wait after ``attempts`` failed ones; None when that was the last.

    What the endpoint ``asked`` for may make it longer, up to the schedule's longest wait, and never shorter.
    """
    if attempts >= MOST_ATTEMPTS:
        return None
    planned = RETRY_SECONDS[attempts - 1] * uniform(1 - JITTER, 1 + JITTER)
    return max(planned, min(asked or 0.0, LONGEST_ASKED_SECONDS))


def echoes(body: str, challenge: str) -> bool:
    """Say whether an endpoint's answer holds the challenge: only who reads the request can send it back."""
    return challenge in unquote(body)


@dataclass(slots=True)
class Breaker:
    """Stops calling an endpoint that fails in a row; then one call at a time asks whether it is back."""

    failures: int = 0
    opened: int = 0
    closed_at: float = 0.0

    def wait_seconds(self, now: float) -> float:
        return max(0.0, self.closed_at - now)

    @property
    def is_trying(self) -> bool:
        """One call at a time, as long as the last ones failed."""
        return self.failures >= BREAKER_FAILURES

    def heed(self, now: float, made: Attempt) -> None:
        """Learn of an attempt; an endpoint that asks for rest gets as much as the breaker gives at most."""
        self.note(now, delivered=made.delivered)
        asked = 0.0 if made.delivered else made.asked_to_wait or 0.0
        self.closed_at = max(self.closed_at, now + min(asked, BREAKER_SECONDS[-1]))

    def note(self, now: float, *, delivered: bool) -> None:
        if delivered:
            self.failures = self.opened = 0
            return
        self.failures += 1
        if self.failures >= BREAKER_FAILURES:
            self.closed_at = now + BREAKER_SECONDS[min(self.opened, len(BREAKER_SECONDS) - 1)]
            self.opened += 1
