"""What time does to limits: new tenants get theirs, unpaid bills reach their next step, overrides end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from billing_webhooks import entitlement_store, store
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from billing_webhooks.domain import Plan
    from billing_webhooks.entitling import Entitling
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)
OVERLAP = timedelta(hours=1)
"""Ends of overrides are looked for again for this long, since a replica may have been down."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeping:
    db: Database
    entitling: Entitling
    plans: dict[str, Plan]
    clock: Clock

    async def run_once(self) -> None:
        """Look once.

        Raises:
            Unavailable: the database is away.
        """
        now = self.clock()
        async with self.db.service_connection("pulse_billing") as tx:
            self.plans.update(await entitlement_store.load_plans(tx))
            due = await entitlement_store.due_tenants(tx, now, now - OVERLAP)
        for tenant in due:
            async with self.db.service_tenant_connection("pulse_billing", TenantId(tenant)) as tx_:
                await store.lock_tenant(tx_)
                await self.entitling.apply(tx_, cause="time")


async def repeat(name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do ``work`` for ever, ``seconds`` apart; trouble of the database or of Stripe is waited out."""
    while True:
        try:
            await work()
        except Unavailable as error:
            log.warning("billing_work_waits", work=name, reason=error.message)
        await asyncio.sleep(seconds)
