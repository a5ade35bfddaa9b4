"""Keeps the audit log's months: makes those to come, drops those that retention lets go."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from cert_worker.sealing import store
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from datetime import date

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

MONTHS_AHEAD = 2
EVERY_SECONDS = 3600.0
SHORTEST_MONTHS = 4
"""Below that the database refuses: a month goes when it is 90 days past."""


class Keeper:
    """``keep_months`` of None keeps everything."""

    def __init__(self, database: Database, clock: Clock, keep_months: int | None) -> None:
        self._database = database
        self._clock = clock
        self._keep_months = keep_months

    async def run(self) -> None:
        """Look every hour; trouble of the database is waited out."""
        while True:
            try:
                await self.keep_once()
            except Unavailable as error:
                log.warning("audit_keeping_waits", reason=error.message)
            except Exception:
                # The database refuses to drop what is not sealed or too young: told, and looked at again in an hour.
                log.exception("audit_month_kept")
            await asyncio.sleep(EVERY_SECONDS)

    async def keep_once(self) -> None:
        async with self._database.service_connection("pulse_seal") as tx:
            await store.ensure_partitions(tx, MONTHS_AHEAD)
            found = [row["month"] for row in await store.months(tx)]
        for month in found:
            if self._is_over(month):
                await self._drop(month)

    async def _drop(self, month: date) -> None:
        async with self._database.service_connection("pulse_seal") as tx:
            rows = await store.drop_month(tx, month)
        log.info("audit_month_dropped", month=f"{month:%Y-%m}", rows=rows)

    def _is_over(self, month: date) -> bool:
        if self._keep_months is None:
            return False
        now = self._clock()
        return (now.year - month.year) * 12 + now.month - month.month > self._keep_months
