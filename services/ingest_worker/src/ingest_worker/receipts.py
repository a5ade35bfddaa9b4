"""What was over a limit: counted in memory, written down every second, and told to the device itself.

A stretch ends after a minute without anything over the limit; the next one has a receipt of its own.  A crash loses the
counts of its last second, never a message that was kept.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Literal, Protocol

import structlog

from ingest_worker import limit_store, metrics
from pulse_common.errors import AppError, Unavailable
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from uuid import UUID

    from ingest_worker.buckets import Name, Over
    from ingest_worker.domain import Origin
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

Outcome = Literal["dropped", "deferred"]
QUIET = timedelta(seconds=60)
FLUSH_SECONDS = 1.0
TELL_AGAIN = timedelta(seconds=10)
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
MOST_OPEN = 20_000
MOST_TOLD_A_FLUSH = 50


class Publisher(Protocol):
    def publish(self, topic: str, payload: bytes) -> Awaitable[None]: ...


@dataclass(slots=True)
class Receipt:
    """``device_id`` None: the tenant's bucket, or more devices at a time than are told apart."""

    receipt_id: UUID
    tenant_id: UUID
    device_id: UUID | None
    bucket: Name
    outcome: Outcome
    since: datetime
    until: datetime
    refills_at: datetime
    messages: int = 0
    size_bytes: int = 0
    written: bool = False


class Receipts:
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._open: dict[tuple[UUID, UUID | None, Name, Outcome], Receipt] = {}
        self._to_tell: dict[tuple[UUID, UUID], Receipt] = {}
        self._told: dict[tuple[UUID, UUID], datetime] = {}

    def note(
        self, origin: Origin, over: Over, outcome: Outcome, *, messages: int, size_bytes: int
    ) -> None:
        metrics.LIMITED.labels(over.bucket, outcome).inc(messages)
        now = self._clock()
        of_device = over.bucket.startswith("device_") and len(self._open) < MOST_OPEN
        device = origin.device_id if of_device else None
        key = (origin.tenant_id, device, over.bucket, outcome)
        receipt = self._open.get(key)
        if receipt is None or now - receipt.until > QUIET:
            receipt = Receipt(
                new_id(), origin.tenant_id, device, over.bucket, outcome, now, now, now
            )
            self._open[key] = receipt
        receipt.until = now
        receipt.refills_at = now + timedelta(seconds=over.refill_seconds)
        receipt.messages += messages
        receipt.size_bytes += size_bytes
        receipt.written = False
        if len(self._to_tell) < MOST_OPEN:
            self._to_tell[origin.tenant_id, origin.device_id] = receipt

    async def run(self, link: Publisher) -> None:
        """Write and tell for ever."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await self.flush()
                await self.tell(link)
            except Unavailable as error:
                log.warning("receipts_wait", reason=error.message)
            except Exception:
                log.exception("receipts_crashed")

    async def flush(self) -> None:
        """Write what changed since the last time."""
        changed = [receipt for receipt in self._open.values() if not receipt.written]
        for receipt in changed:
            receipt.written = True
        try:
            if changed:
                async with self._database.service_connection("pulse_ingest") as tx:
                    await limit_store.save_receipts(tx, changed)
                    await limit_store.forget_receipts(tx, {r.tenant_id for r in changed})
        except BaseException:
            for receipt in changed:
                receipt.written = False
            raise
        self._end_quiet_ones()

    async def tell(self, link: Publisher) -> None:
        """Tell devices, each at most every 10 s, on a topic of their own.  Who is not subscribed is not told."""
        now = self._clock()
        waiting, self._to_tell = self._to_tell, {}
        due = [key for key in waiting if now - self._told.get(key, _LONG_AGO) >= TELL_AGAIN]
        for key in due[:MOST_TOLD_A_FLUSH]:
            self._told[key] = now
        told = due[:MOST_TOLD_A_FLUSH]
        # Whose turn has not come waits for it: the last count of a short flood is told, too.
        self._to_tell.update((key, waiting[key]) for key in waiting.keys() - set(told))
        await asyncio.gather(*(_tell(link, *key, waiting[key]) for key in told))

    def _end_quiet_ones(self) -> None:
        now = self._clock()
        for key in [k for k, receipt in self._open.items() if now - receipt.until > QUIET]:
            del self._open[key]
        for device in [d for d, at in self._told.items() if now - at > QUIET]:
            del self._told[device]


async def _tell(link: Publisher, tenant: UUID, device: UUID, receipt: Receipt) -> None:
    content = {
        "bucket": receipt.bucket,
        "outcome": receipt.outcome,
        "since": receipt.since.isoformat(),
        "messages": receipt.messages,
        "refills_at": receipt.refills_at.isoformat(),
    }
    try:
        await link.publish(f"tenant/{tenant}/device/{device}/limits", json.dumps(content).encode())
    except AppError as error:
        log.debug("limits_not_told", device_id=str(device), reason=error.message)
