"""Which way a message goes by its tenant's plan: on, into the overflow, or nowhere."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from ingest_worker.buckets import Over

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingest_worker.buckets import Buckets
    from ingest_worker.domain import Origin
    from ingest_worker.months import Months
    from ingest_worker.plans import Plans
    from ingest_worker.receipts import Outcome, Receipts

Way = Literal["on", "overflow", "drop"]


class Toll:
    def __init__(
        self,
        buckets: Buckets,
        plans: Plans,
        receipts: Receipts,
        monotonic: Callable[[], float] = time.monotonic,
        months: Months | None = None,
    ) -> None:
        self._months = months
        self._buckets = buckets
        self._plans = plans
        self._receipts = receipts
        self._monotonic = monotonic

    def charge(self, origin: Origin, *, messages: int, size_bytes: int) -> tuple[Way, Over | None]:
        """Take tokens.  Plans with hard limits drop what is over, the others let it wait."""
        plan = self._plans.of(origin.tenant_id)
        over = self._buckets.take(
            origin.tenant_id,
            origin.device_id,
            plan,
            messages=messages,
            size_bytes=size_bytes,
            now=self._monotonic(),
        )
        if over is None:
            return "on", None
        return ("drop" if plan.hard_limits else "overflow"), over

    def charge_month(self, origin: Origin, messages: int) -> Over | None:
        """Count what is about to be stored; only plans with hard limits end at their month's."""
        plan = self._plans.of(origin.tenant_id)
        limit = plan.messages_per_month
        if self._months is None or limit is None or not plan.hard_limits:
            return None
        wait = self._months.take(origin.tenant_id, limit, messages)
        return None if wait is None else Over("tenant_month", wait.total_seconds())

    def note(
        self, origin: Origin, over: Over, outcome: Outcome, *, messages: int, size_bytes: int
    ) -> None:
        self._receipts.note(origin, over, outcome, messages=messages, size_bytes=size_bytes)
