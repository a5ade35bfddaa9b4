"""The other way into the audit log, for what is frequent and changes nothing: views, log-ins, refusals at the broker.

``observe`` appends a line to the spool (``audit_spool``) and returns; ``run`` brings what has gathered to the database,
by time and by size, in the order of observation.  The lines are COPY's text format already, so flushing is passing
bytes on.  Row-level security refuses ``COPY FROM`` to every role of ours, hence a temporary table in between; an event
that was flushed before a crash and is replayed after it has the same key and is left out.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import timedelta
from typing import TYPE_CHECKING, LiteralString

import structlog

from pulse_common import metrics, origin
from pulse_common.audit_redaction import to_json
from pulse_common.audit_spool import whole_lines
from pulse_common.errors import Unavailable
from pulse_common.ids import PLATFORM_TENANT, new_id
from pulse_common.tenancy import RowsRefused

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path
    from typing import Protocol
    from uuid import UUID

    from pulse_common.audit import Act
    from pulse_common.audit_spool import Spool
    from pulse_common.clock import Clock
    from pulse_common.tenancy import ServiceRole, Tx

    class AuditDatabase(Protocol):
        def service_connection(self, role: ServiceRole) -> AbstractAsyncContextManager[Tx]: ...


log = structlog.get_logger(__name__)

FLUSH_SECONDS = 1.0
FLUSH_ROWS = 2000
_MICROSECOND = timedelta(microseconds=1)

_STAGE: LiteralString = """
    CREATE TEMPORARY TABLE audit_staging (
        tenant_id uuid, audit_id uuid, at timestamptz, actor_kind text, actor_id text, action text, object_kind text,
        object_id text, outcome text, reason text, address text, user_agent text, request_id text, before jsonb,
        after jsonb, details jsonb) ON COMMIT DROP
"""
_COPY: LiteralString = "COPY audit_staging FROM STDIN"
_INSERT: LiteralString = """
    INSERT INTO audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome,
                           reason, address, user_agent, request_id, before, after, details)
    SELECT tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome, reason, address,
           user_agent, request_id, before, after, details
      FROM audit_staging
        ON CONFLICT DO NOTHING
"""
# What has a meaning of its own in COPY's text format; NUL has none, and no column that could hold it.
_ESCAPES = str.maketrans(
    {"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r", "\x00": "\ufffd"},
)


class Observer:
    """Records views and the like without waiting for the database; ``run`` must be running."""

    def __init__(
        self,
        database: AuditDatabase,
        spool: Spool,
        *,
        clock: Clock,
        flush_seconds: float = FLUSH_SECONDS,
        flush_rows: int = FLUSH_ROWS,
    ) -> None:
        self._database = database
        self._spool = spool
        self._clock = clock
        self._flush_seconds = flush_seconds
        self._flush_rows = flush_rows
        self._last = clock()
        self._gathered = 0
        self._enough = asyncio.Event()
        self._spooled: set[Path] = set()

    def observe(self, act: Act, tenant: UUID = PLATFORM_TENANT) -> None:
        """Record ``act``, which has its place in the spool when this returns.  Never raises, never waits."""
        # Later than the one before, so that the log keeps the order of one process within a microsecond, too.
        at = max(self._clock(), self._last + _MICROSECOND)
        self._last = at
        line = _line(tenant, at.isoformat(), act)
        if not self._spool.append(line):
            metrics.AUDIT_OBSERVED.labels("dropped").inc()
            return
        metrics.AUDIT_OBSERVED.labels("buffered").inc()
        self._gathered += 1
        if self._gathered >= self._flush_rows:
            self._enough.set()

    async def run(self) -> None:
        """Flush for ever; trouble of the database is waited out, and the last flush is at the end."""
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._flush_seconds):
                        await self._enough.wait()
                self._enough.clear()
                if not await self.flush():
                    await asyncio.sleep(self._flush_seconds)
        finally:
            await self.flush()

    async def flush(self) -> bool:
        """Bring everything to the database; False when it would not take it now, and nothing is lost."""
        self._gathered = 0
        self._spool.close_segment()
        for segment in self._spool.segments():
            try:
                await self._flush_segment(segment)
            except Exception as error:  # noqa: BLE001 -- whatever it is, the segment stays and is tried again
                self._keep(error)
                return False
        metrics.AUDIT_SPOOL_BYTES.set(self._spool.size)
        return True

    async def _flush_segment(self, segment: Path) -> None:
        lines = whole_lines(segment)
        if lines:
            await self._write(lines)
        self._spool.discard(segment)
        self._spooled.discard(segment)

    async def _write(self, lines: bytes) -> None:
        """Write ``lines``; one that the database refuses is set aside rather than holding up all others."""
        try:
            async with self._database.service_connection("pulse_audit") as tx:
                await tx.execute(_STAGE)
                await tx.copy_in(_COPY, lines)
                new = await tx.execute(_INSERT)
        except RowsRefused as error:
            await self._write_halves(lines, error)
        else:
            metrics.AUDIT_OBSERVED.labels("flushed").inc(new)

    async def _write_halves(self, lines: bytes, error: RowsRefused) -> None:
        single = lines.splitlines(keepends=True)
        if len(single) == 1:
            log.error("audit_event_refused", error=str(error))
            metrics.AUDIT_OBSERVED.labels("refused").inc()
            self._spool.reject(lines)
            return
        middle = len(single) // 2
        await self._write(b"".join(single[:middle]))
        await self._write(b"".join(single[middle:]))

    def _keep(self, error: Exception) -> None:
        for segment in self._spool.segments():
            if segment not in self._spooled:
                self._spooled.add(segment)
                metrics.AUDIT_OBSERVED.labels("spooled").inc(whole_lines(segment).count(b"\n"))
        self._spool.sync()
        metrics.AUDIT_SPOOL_BYTES.set(self._spool.size)
        reason = error.message if isinstance(error, Unavailable) else repr(error)
        log.warning("audit_events_spooled", bytes=self._spool.size, reason=reason)


def _line(tenant: UUID, at: str, act: Act) -> bytes:
    came = origin.current()
    fields = (
        str(tenant),
        str(new_id()),
        at,
        act.actor_kind,
        _escape(act.actor_id),
        act.action,
        act.object_kind,
        _escape(act.object_id),
        act.outcome,
        _escape(act.reason),
        _escape(act.address or came.address),
        _escape(act.user_agent or came.user_agent),
        _escape(act.request_id or came.request_id),
        _json(act.before),
        _json(act.after),
        _json(act.details),
    )
    return ("\t".join(fields) + "\n").encode("utf-8", "replace")


def _escape(text: str | None) -> str:
    return r"\N" if text is None else text.translate(_ESCAPES)


def _json(values: Mapping[str, object] | None) -> str:
    return r"\N" if values is None else to_json(values).translate(_ESCAPES)
