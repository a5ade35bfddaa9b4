"""How many messages of its month a tenant has used: what was counted as it was stored, and what was taken since.

The count of the calendar month (UTC) is read every 30 seconds; what this replica took since then is added until it is
in it.  So one replica holds a plan's limit exactly but for what is sent twice; N replicas, or a restart, let through as
much more as comes to the others, or came, within those seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from ingest_worker import limit_store
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

FRESH_SECONDS = 30.0
SLOT_SECONDS = 10.0
FORGET_SECONDS = 900.0
"""Long enough for what waits to be stored: what is not counted by then never will be (a repeat)."""


@dataclass(slots=True)
class _Month:
    begins: date
    counted: int = 0
    read_at: float = float("-inf")
    since: deque[tuple[float, int]] = field(default_factory=deque)
    taken: int = 0
    """The sum of ``since``: slots of (when, how many), oldest first."""


class Months:
    def __init__(
        self,
        read: Callable[[UUID, date], Awaitable[int]],
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._clock = clock
        self._monotonic = monotonic
        self._months: dict[UUID, _Month] = {}
        self._reading: dict[UUID, asyncio.Task[None]] = {}

    def take(self, tenant: UUID, limit: int, messages: int) -> timedelta | None:
        """Count messages, or say how long it is until there is room again: until the next month begins."""
        now = self._clock()
        month = self._month(tenant, now.date().replace(day=1))
        if month.counted + month.taken + messages > limit:
            return _next(month.begins, now) - now
        self._add(month, messages)
        return None

    async def settled(self) -> None:
        """Wait until what is being read is known."""
        await asyncio.gather(*self._reading.values())

    def _month(self, tenant: UUID, begins: date) -> _Month:
        month = self._months.get(tenant)
        if month is None or month.begins != begins:
            month = self._months[tenant] = _Month(begins)
        stale = self._monotonic() - month.read_at >= FRESH_SECONDS
        if stale and tenant not in self._reading:
            self._reading[tenant] = asyncio.create_task(self._refresh(tenant, month))
        return month

    def _add(self, month: _Month, messages: int) -> None:
        now = self._monotonic()
        month.taken += messages
        if month.since and now - month.since[-1][0] < SLOT_SECONDS:
            at, many = month.since.pop()
            month.since.append((at, many + messages))
        else:
            month.since.append((now, messages))

    async def _refresh(self, tenant: UUID, month: _Month) -> None:
        try:
            counted = await self._read(tenant, month.begins)
            self._settle(month, counted)
        except Unavailable:
            log.warning("month_not_read", tenant_id=str(tenant))
        except Exception:
            log.exception("month_reading_crashed", tenant_id=str(tenant))
        finally:
            month.read_at = self._monotonic()
            del self._reading[tenant]

    def _settle(self, month: _Month, counted: int) -> None:
        """Take off what was counted since the last time, the oldest first, and what it never will."""
        known = max(0, counted - month.counted) if month.read_at > float("-inf") else 0
        month.counted = max(month.counted, counted)
        oldest = self._monotonic() - FORGET_SECONDS
        while month.since and (known > 0 or month.since[0][0] < oldest):
            at, many = month.since.popleft()
            gone = many if at < oldest else min(many, known)
            known -= min(known, gone)
            month.taken -= gone
            if gone < many:
                month.since.appendleft((at, many - gone))


def _next(begins: date, now: datetime) -> datetime:
    after = (begins + timedelta(days=32)).replace(day=1)
    return datetime(after.year, after.month, 1, tzinfo=now.tzinfo)


def reader(database: Database) -> Callable[[UUID, date], Awaitable[int]]:
    async def read(tenant: UUID, begins: date) -> int:
        async with database.service_connection("pulse_ingest") as tx:
            return await limit_store.count_of_month(tx, tenant, begins)

    return read
