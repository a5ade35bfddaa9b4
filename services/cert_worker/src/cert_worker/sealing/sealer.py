"""Seals what is new in the audit log, one replica at a time, again and again."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge

from cert_worker.sealing import store
from cert_worker.sealing.tree import Peaks, head_text, leaf_hash
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cert_worker.sealing.signer import HeadSigner
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Row, Tx

log = structlog.get_logger(__name__)

MOST_ROWS = 10_000
EVERY_SECONDS = 1.0

ROWS = Counter("pulse_audit_sealed_rows_total", "Rows of the audit log that were sealed")
LAG = Gauge("pulse_audit_sealing_lag_seconds", "Age of the oldest row that is not sealed")


class Restored(Exception):  # noqa: N818 -- reads as an outcome
    """The database's transactions were counted from anew, as after restoring a dump: new rows would never be sealed."""


class Sealer:
    def __init__(
        self, *, database: Database, signer: HeadSigner, clock: Clock, most_rows: int = MOST_ROWS
    ) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._most_rows = most_rows

    async def run(self) -> None:
        """Seal for ever; trouble of the database is waited out."""
        while True:
            try:
                sealed = await self.seal_once()
            except Unavailable as error:
                log.warning("sealer_waits", reason=error.message)
                sealed = 0
            except Restored as error:
                log.error("sealer_refused", reason=str(error))  # noqa: TRY400 -- one line, every second
                sealed = 0
            if sealed < self._most_rows // 2:
                await asyncio.sleep(EVERY_SECONDS)

    async def seal_once(self) -> int:
        """Seal one batch and return how many rows it held; 0 as well when another replica is at it.

        Raises:
            Restored: see there; docs/operations/audit.md says what to do.
            Unavailable: the database is away.
        """
        async with self._database.service_connection("pulse_seal") as tx:
            if not await store.take_lock(tx, "sealer"):
                return 0
            span = await store.unsealed(tx)
            if span.end < span.first:
                raise Restored(
                    f"transactions are sealed up to {span.first}, the newest is {span.end}"
                )
            rows, span = await self._take(tx, span)
            if rows:
                await self._seal(tx, rows, span)
            await self._measure(tx, span.end if rows else span.first)
        ROWS.inc(len(rows))
        return len(rows)

    async def _take(self, tx: Tx, span: store.Span) -> tuple[Sequence[Row], store.Span]:
        """Read whole transactions, about ``most_rows`` rows of them."""
        rows = await store.rows(tx, span, self._most_rows + 1)
        if len(rows) <= self._most_rows:
            return rows, span
        last = int(rows[-1]["xid"])
        whole = [row for row in rows if int(row["xid"]) < last]
        if whole:
            return whole, store.Span(span.first, last)
        # One transaction larger than a batch: all of it.
        alone = store.Span(span.first, last + 1)
        return await store.rows(tx, alone, 2**31), alone

    async def _seal(self, tx: Tx, rows: Sequence[Row], span: store.Span) -> None:
        by_tenant: dict[str, list[Row]] = {}
        for row in rows:
            by_tenant.setdefault(row["tenant_id"], []).append(row)
        before = await store.last_seals(tx, by_tenant)
        at = self._clock()
        # Hashing ten thousand rows takes a tenth of a second: the CA goes on answering meanwhile.
        for seal in await asyncio.to_thread(self._seals, by_tenant, before, at):
            await store.add_seal(tx, seal, span, at)
        await store.add_run(tx, span, len(rows), at)

    def _seals(
        self,
        by_tenant: Mapping[str, Sequence[Row]],
        before: Mapping[str, store.Last],
        at: datetime,
    ) -> list[store.Seal]:
        return [
            self._seal_one(tenant, rows, before.get(tenant), at)
            for tenant, rows in by_tenant.items()
        ]

    def _seal_one(
        self, tenant: str, rows: Sequence[Row], last: store.Last | None, at: datetime
    ) -> store.Seal:
        hashes = [leaf_hash(row) for row in rows]
        start = Peaks() if last is None else last.peaks
        peaks = start.grown(hashes)
        batch = 0 if last is None else last.batch + 1
        text = head_text(
            tenant=tenant,
            peaks=peaks,
            batch=batch,
            previous_note=None if last is None else last.note,
            at=at,
        )
        return store.Seal(
            tenant_id=tenant,
            batch=batch,
            first_position=start.size,
            peaks=peaks,
            note=self._signer.sign(text),
            leaf_hashes=hashes,
            audit_ids=[row["audit_id"] for row in rows],
        )

    async def _measure(self, tx: Tx, sealed_to: int) -> None:
        oldest = await store.oldest_from(tx, sealed_to)
        LAG.set(0 if oldest is None else max(0.0, (self._clock() - oldest).total_seconds()))
