"""What each tenant's plan allows, known without waiting: no message waits for the database.

A tenant that was not heard of yet has no limits for the moment that it takes to read its plan; one whose plan cannot be
read keeps the one that it had.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import structlog

from pulse_common import entitlements
from pulse_common.entitlements import FRESH_SECONDS, UNLIMITED, Entitlements
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from uuid import UUID

    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)


class Plans:
    def __init__(
        self,
        read: Callable[[UUID], Awaitable[Entitlements]],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._monotonic = monotonic
        self._known: dict[UUID, Entitlements] = {}
        self._read_at: dict[UUID, float] = {}
        self._reading: dict[UUID, asyncio.Task[None]] = {}

    def of(self, tenant: UUID) -> Entitlements:
        """Return what is known now, and have it read again when it is more than 4 s old."""
        stale = self._monotonic() - self._read_at.get(tenant, float("-inf")) >= FRESH_SECONDS
        if stale and tenant not in self._reading:
            self._reading[tenant] = asyncio.create_task(self._refresh(tenant))
        return self._known.get(tenant, UNLIMITED)

    async def settled(self) -> None:
        """Wait until what is being read is known."""
        await asyncio.gather(*self._reading.values())

    async def _refresh(self, tenant: UUID) -> None:
        try:
            self._known[tenant] = await self._read(tenant)
        except Unavailable:
            log.warning("plan_not_read", tenant_id=str(tenant))
        except Exception:
            log.exception("plan_reading_crashed", tenant_id=str(tenant))
        finally:
            self._read_at[tenant] = self._monotonic()
            del self._reading[tenant]


def reader(database: Database) -> Callable[[UUID], Awaitable[Entitlements]]:
    async def read(tenant: UUID) -> Entitlements:
        async with database.service_connection("pulse_ingest") as tx:
            return await entitlements.load_of(tx, tenant)

    return read
