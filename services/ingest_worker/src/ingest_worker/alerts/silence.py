"""What the clock brings: alerts on silence, clearing what nothing stands behind any more, and e-mail.

One replica looks at a time, every 10 s.  While ingest cannot see (no broker, a stream that is not written yet, nobody
running), nobody is called silent: a gap in looking of more than 30 s starts everybody's count anew.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from ingest_worker.alerts import silence_store, store
from ingest_worker.alerts.judging import tell_cleared, tell_raised
from pulse_common import outbox
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.notices import NoticeRaised

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Row

log = structlog.get_logger(__name__)

LOOK_SECONDS = 10.0
LONGEST_GAP = timedelta(seconds=30)
MAIL_PAUSE = timedelta(minutes=5)
"""Of a tenant: what is raised meanwhile comes in the next mail."""
MOST_MAILED = 20
LONGEST_TITLE = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    database: Database
    clock: Clock
    sees: Callable[[], Awaitable[bool]]
    """Whether what devices send arrives and is stored."""

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await self.look()
            except Unavailable as error:
                log.warning("alerts_wait", reason=error.message)
            except Exception:
                log.exception("looking_for_silence_crashed")

    async def look(self) -> None:
        """Look once.

        Raises:
            Unavailable: the database is away.
        """
        if not await self.sees():
            return
        now = self.clock()
        async with self.database.service_connection("pulse_ingest") as turn:
            if not await silence_store.take_turn(turn):
                return
            since = await silence_store.look(turn, now, LONGEST_GAP)
            concerned = await silence_store.list_tenants(turn, now, since)
            unmailed = await silence_store.list_unmailed(turn, now, MAIL_PAUSE)
        for tenant in concerned:
            async with self.database.service_tenant_connection(
                "pulse_ingest", TenantId(tenant)
            ) as tx:
                await store.lock(tx)
                cleared = await silence_store.clear_moot(tx, now)
                raised = await silence_store.raise_silent(tx, now, since)
                await tell_cleared(tx, cleared, self.clock)
                await tell_raised(tx, raised, self.clock)
                await store.forget_old(tx)
        for tenant in unmailed:
            async with self.database.service_tenant_connection(
                "pulse_ingest", TenantId(tenant)
            ) as tx:
                await store.lock(tx)
                rows = await silence_store.take_unmailed(tx, now)
                if rows:
                    await outbox.emit(tx, _notice(tx.tenant, rows, self.clock))


def _notice(tenant: TenantId, rows: Sequence[Row], clock: Clock) -> NoticeRaised:
    first = rows[0]
    lines = [_line(row) for row in rows[:MOST_MAILED]]
    if len(rows) > MOST_MAILED:
        lines.append(f"and {len(rows) - MOST_MAILED} more")
    title = f"{len(rows)} alerts, the first of {first['rule_name']}"
    if len(rows) == 1:
        title = f"Alert: {first['rule_name']}, {first['device'] or first['device_id']}"
    return NoticeRaised(
        tenant_id=tenant,
        at=clock(),
        topic="alerts",
        notice_key=str(first["alert_id"]),
        title=title[:LONGEST_TITLE],
        text="\n".join(lines),
        path="/alerts",
    )


def _line(row: Row) -> str:
    when = row["raised_at"].strftime("%Y-%m-%d %H:%M:%S UTC")
    what = "nothing was heard" if row["metric"] is None else f"{row['metric']}: {row['value']:g}"
    return f"{row['rule_name']}: {row['device'] or row['device_id']}, {what} ({when})"
