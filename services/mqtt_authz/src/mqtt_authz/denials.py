"""Why devices were refused, kept for their tenants: sampled, bounded, and written off the path of any answer.

Equal refusals of one device within a minute become one row with a count, and a device fills at most ``MOST_KINDS`` rows
a minute.  What does not fit is counted in ``pulse_mqtt_denials_total`` and left out; a crash loses the last seconds.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import structlog

from mqtt_authz import denial_store, metrics
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from uuid import UUID

    from mqtt_authz.reasons import Reason
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

MINUTE_SECONDS = 60.0
MOST_KINDS = 10
MOST_DEVICES = 10_000
"""Devices refused within one minute that are told apart; about 10 MB."""
MOST_PENDING = 5_000
FLUSH_SECONDS = 1.0
KEEP_DAYS = 14
FORGET_EVERY_SECONDS = 600.0
LONGEST_TOPIC = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Denial:
    """One kind of refusal of one device.  ``rule`` is what decided it, when it was one of the session's rules."""

    tenant: UUID
    device: UUID
    action: str
    reason: Reason
    rule: str | None = None
    topic: str | None = None
    serial_number: str | None = None
    address: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    denial: Denial
    at: datetime
    times: int


@dataclass(slots=True)
class _Minute:
    ends: float
    repeated: dict[Denial, int] = field(default_factory=dict)


class Denials:
    def __init__(
        self, *, database: Database, clock: Clock, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._clock = clock
        self._monotonic = monotonic
        self._minutes: dict[UUID, _Minute] = {}
        self._pending: list[Row] = []

    def note(self, denial: Denial) -> None:
        """Keep a refusal in memory; never waits and never fails."""
        denial = replace(
            denial, topic=denial.topic[:LONGEST_TOPIC] if denial.topic is not None else None
        )
        minute = self._minute_of(denial.device)
        if minute is None:
            metrics.DENIALS.labels("left_out").inc()
        elif denial in minute.repeated:
            minute.repeated[denial] += 1
            metrics.DENIALS.labels("counted").inc()
        elif len(minute.repeated) >= MOST_KINDS or len(self._pending) >= MOST_PENDING:
            metrics.DENIALS.labels("left_out").inc()
        else:
            minute.repeated[denial] = 0
            self._pending.append(Row(denial, self._clock(), 1))
            metrics.DENIALS.labels("kept").inc()

    async def run(self) -> None:
        """Write for ever, and delete what is old; trouble of the database is waited out."""
        forget_at = 0.0
        while True:
            try:
                await self.flush()
                if self._monotonic() >= forget_at:
                    await self.forget_old()
                    forget_at = self._monotonic() + FORGET_EVERY_SECONDS
            except Unavailable as error:
                log.warning("denials_wait", reason=error.message)
            await asyncio.sleep(FLUSH_SECONDS)

    async def flush(self) -> int:
        """Write what is pending in one statement, and the counts of minutes that are over.

        Raises:
            Unavailable: nothing was written, and everything is kept for the next time.
        """
        self._end_minutes()
        rows = self._pending
        if not rows:
            return 0
        async with self._database.service_connection("pulse_authz") as tx:
            await denial_store.insert(tx, rows)
        self._pending = self._pending[len(rows) :]  # more may have come meanwhile
        return len(rows)

    async def forget_old(self) -> int:
        async with self._database.service_connection("pulse_authz") as tx:
            return await denial_store.delete_old(tx, KEEP_DAYS)

    def _minute_of(self, device: UUID) -> _Minute | None:
        minute = self._minutes.get(device)
        now = self._monotonic()
        if minute is not None and minute.ends <= now:
            self._end(device, minute)
            minute = None
        if minute is None:
            if len(self._minutes) >= MOST_DEVICES:
                return None
            minute = self._minutes[device] = _Minute(now + MINUTE_SECONDS)
        return minute

    def _end_minutes(self) -> None:
        now = self._monotonic()
        for device, minute in list(self._minutes.items()):
            if minute.ends > now:
                break  # in order of their beginning
            self._end(device, minute)

    def _end(self, device: UUID, minute: _Minute) -> None:
        del self._minutes[device]
        for denial, times in minute.repeated.items():
            if times and len(self._pending) < MOST_PENDING:
                self._pending.append(Row(denial, self._clock(), times))
