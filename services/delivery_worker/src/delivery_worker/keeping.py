"""Deletes what the delivery log and the dead letters keep no longer, of every tenant that has routes, busy or not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from delivery_worker import room_store
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from datetime import timedelta

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    db: Database
    clock: Clock
    keep: timedelta

    async def run(self) -> None:
        while True:
            try:
                await self.forget_once()
            except Unavailable as error:
                log.warning("forgetting_waits", reason=error.message)
            await asyncio.sleep(EVERY_SECONDS)

    async def forget_once(self) -> None:
        """Delete what is past its keeping, tenant by tenant, each under its own row-level security."""
        async with self.db.service_connection("pulse_delivery") as tx:
            tenants = await room_store.tenants_with_routes(tx)
        before = self.clock() - self.keep
        for tenant in tenants:
            more = True
            while more:
                async with self.db.tenant_connection(TenantId(tenant)) as tenant_tx:
                    more = await room_store.forget(tenant_tx, before)
