"""The record of refused credentials: one audit row each, until a flood; then one row that says how many there were.

Rows are written before the refusal goes out, so that a crash loses none of them; past ``ROWS_PER_WINDOW`` only a count
is kept, and a crash loses that of the running minute.  A database that does not answer costs one request half a second,
and its window ends in a summary as well.  The log never holds what was presented.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from pulse_common import audit, metrics, origin
from pulse_common.client_address import user_agent
from pulse_common.origin import NOWHERE, Origin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import Protocol

    from starlette.requests import HTTPConnection

    from pulse_common.errors import Unauthenticated
    from pulse_common.ratelimit import AddressOf
    from pulse_common.tenancy import ServiceRole, Tx

    class AuditDatabase(Protocol):
        def service_connection(self, role: ServiceRole) -> AbstractAsyncContextManager[Tx]: ...


log = structlog.get_logger(__name__)

ROWS_PER_WINDOW = 20
WINDOW_SECONDS = 60.0
WRITE_SECONDS = 0.5
MOST_ADDRESSES = 20
OTHERS = "others"


@dataclass(slots=True)
class _Window:
    """What one window has left to write, and what it only counted."""

    rows_left: int
    reasons: Counter[str] = field(default_factory=Counter)
    addresses: Counter[str] = field(default_factory=Counter)

    def count(self, reason: str, address: str) -> None:
        known = address in self.addresses or len(self.addresses) < MOST_ADDRESSES
        self.reasons[reason] += 1
        self.addresses[address if known else OTHERS] += 1


class AuthAudit:
    """Records refused credentials; ``run`` writes the summaries and must be running."""

    def __init__(
        self,
        database: AuditDatabase,
        *,
        address_of: AddressOf,
        rows_per_window: int = ROWS_PER_WINDOW,
        window_seconds: float = WINDOW_SECONDS,
    ) -> None:
        self._database = database
        self._address_of = address_of
        self._rows_per_window = rows_per_window
        self._window_seconds = window_seconds
        self._window = _Window(rows_per_window)

    async def refused(self, connection: HTTPConnection, error: Unauthenticated) -> None:
        """Record that a request or a WebSocket brought a credential that was refused.  Never raises.

        One that brought none is no attempt.
        """
        if error.reason is None:
            return
        # Asked anew: a WebSocket comes by no door of ours.
        request_id = structlog.contextvars.get_contextvars().get("request_id")
        came = Origin(self._address_of(connection), user_agent(connection), request_id)
        await self._record(error.reason, came, {})

    async def refused_call(self, rpc: str, request_id: str | None, error: Unauthenticated) -> None:
        """Record that a call over NATS brought a token that was refused.  Never raises.

        ``request_id`` is of the request that caused it.
        """
        if error.reason is not None:
            came = dataclasses.replace(origin.current(), request_id=request_id)
            await self._record(error.reason, came, {"rpc": rpc})

    async def _record(self, reason: str, came: Origin, details: Mapping[str, object]) -> None:
        metrics.CREDENTIALS_REFUSED.labels(reason).inc()
        window = self._window
        if window.rows_left <= 0:
            window.count(reason, came.address or "unknown")
            return
        window.rows_left -= 1
        if not await self._write(reason, came, details):
            window.rows_left = 0
            window.count(reason, came.address or "unknown")

    async def run(self) -> None:
        """Begin a window every minute, and write down what the last one only counted."""
        try:
            while True:
                await asyncio.sleep(self._window_seconds)
                await self.next_window()
        finally:
            await self.next_window()

    async def next_window(self) -> None:
        """End the running window; what could not be written is counted on in the next."""
        ended, self._window = self._window, _Window(self._rows_per_window)
        if not ended.reasons:
            return
        details = {
            "not_recorded_singly": ended.reasons.total(),
            "reasons": dict(ended.reasons),
            "addresses": dict(ended.addresses),
            "window_seconds": self._window_seconds,
        }
        if not await self._write("summary", NOWHERE, details):
            self._window.reasons.update(ended.reasons)
            for address, count in ended.addresses.items():
                known = len(self._window.addresses) < MOST_ADDRESSES
                self._window.addresses[address if known else OTHERS] += count

    async def _write(self, reason: str, came: Origin, details: Mapping[str, object]) -> bool:
        act = audit.Act(
            actor_kind="anonymous",
            actor_id="anonymous",
            action="credentials.refuse",
            object_kind="credentials",
            object_id="unverified",
            outcome="denied",
            reason=reason,
            address=came.address,
            user_agent=came.user_agent,
            request_id=came.request_id,
            details=details,
        )
        try:
            async with (
                asyncio.timeout(WRITE_SECONDS),
                self._database.service_connection("pulse_audit") as tx,
            ):
                await audit.record(tx, act)
        except Exception as error:  # noqa: BLE001 -- the refusal goes out whatever happens to its record
            log.warning("refusal_not_recorded", reason=reason, error=repr(error))
            return False
        return True
