"""Notices one credential that seems to be in two places: its sessions take turns, or come back all the time.

Two holders of one certificate (or token) take over each other's session: the gate sees CONNECTs from A, B and A again
within minutes, or, behind one address, many within one.  A device that roams goes from A to B to C and is not noticed.
What is noticed decides nothing: it becomes a finding.  Each replica judges by what it saw itself, and a crash loses the
last seconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from mqtt_authz import conflict_store, metrics
from mqtt_authz.addresses import network_of
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable
    from uuid import UUID

    from mqtt_authz.domain import Whose
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

BACK_WITHIN_SECONDS = 600.0
MINUTE_SECONDS = 60.0
OFTEN = 6
"""CONNECTs from one address within a minute; a device that is refused does not count."""
MOST_REMEMBERED = 50_000
"""Credentials that connected last; about 20 MB."""
MOST_PENDING = 5_000
FLUSH_SECONDS = 5.0
KEEP_DAYS = 14
FORGET_EVERY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Conflict:
    """Of one pair of addresses, in order; the same one twice says that sessions come back all the time."""

    tenant: UUID
    device: UUID
    serial_number: str
    address: str
    other_address: str


@dataclass(slots=True)
class _Last:
    address: str
    minute_began: float
    connects: int = 1
    before: str = ""
    moved_at: float = 0.0


@dataclass(slots=True, kw_only=True)
class Conflicts:
    database: Database
    clock: Clock
    monotonic: Callable[[], float] = time.monotonic
    pending: dict[Conflict, int] = field(default_factory=dict)
    _last: OrderedDict[str, _Last] = field(default_factory=OrderedDict)

    def note(self, whose: Whose, address: str) -> None:
        """Take notice of a CONNECT that was let in; never waits and never fails."""
        now = self.monotonic()
        last = self._last.get(whose.serial_number)
        if last is None:
            self._last[whose.serial_number] = _Last(address, now)
            if len(self._last) > MOST_REMEMBERED:
                self._last.popitem(last=False)
            return
        self._last.move_to_end(whose.serial_number)
        if address == last.address:
            self._stays(whose, last, now)
        else:
            self._moves(whose, last, address, now)

    def _stays(self, whose: Whose, last: _Last, now: float) -> None:
        if now - last.minute_began > MINUTE_SECONDS:
            last.minute_began, last.connects = now, 0
        last.connects += 1
        if last.connects >= OFTEN:
            last.connects = 0
            self._keep(whose, last.address, last.address)

    def _moves(self, whose: Whose, last: _Last, address: str, now: float) -> None:
        if address == last.before and now - last.moved_at <= BACK_WITHIN_SECONDS:
            self._keep(whose, last.address, address)
        last.before, last.address, last.moved_at = last.address, address, now
        last.minute_began, last.connects = now, 1

    def _keep(self, whose: Whose, address: str, other: str) -> None:
        # By networks: the temporary addresses of one IPv6 network are no two places.
        places = sorted((network_of(address), network_of(other)))
        if (places[0] == places[1]) != (address == other):
            return
        conflict = Conflict(whose.tenant, whose.device, whose.serial_number, *places)
        if conflict in self.pending or len(self.pending) < MOST_PENDING:
            self.pending[conflict] = self.pending.get(conflict, 0) + 1
            metrics.CONFLICTS.inc()

    async def run(self) -> None:
        """Write for ever, and delete what is old; trouble of the database is waited out."""
        forget_at = 0.0
        while True:
            try:
                await self.flush()
                if self.monotonic() >= forget_at:
                    await self.forget_old()
                    forget_at = self.monotonic() + FORGET_EVERY_SECONDS
            except Unavailable as error:
                log.warning("conflicts_wait", reason=error.message)
            await asyncio.sleep(FLUSH_SECONDS)

    async def flush(self) -> None:
        """Write what is pending in one statement.

        Raises:
            Unavailable: nothing was written, and everything is kept for the next time.
        """
        noticed = dict(self.pending)
        if not noticed:
            return
        async with self.database.service_connection("pulse_authz") as tx:
            await conflict_store.add(tx, noticed, self.clock())
        for conflict, times in noticed.items():
            self.pending[conflict] -= times  # more may have come meanwhile
            if not self.pending[conflict]:
                del self.pending[conflict]

    async def forget_old(self) -> int:
        async with self.database.service_connection("pulse_authz") as tx:
            return await conflict_store.delete_old(tx, KEEP_DAYS)
