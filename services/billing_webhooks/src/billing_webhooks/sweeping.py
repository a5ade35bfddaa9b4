"""What time does to limits: new tenants get theirs, overrides end, changed plans hold, unpaid bills go on a step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from billing_webhooks import entitlement_store, store
from pulse_common.errors import AppError
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from uuid import UUID

    from billing_webhooks.domain import Plan
    from billing_webhooks.entitling import Entitling
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)
OVERLAP = timedelta(hours=1)
"""Ends of overrides are looked for again for this long; what is older is the reconciler's, which looks at its start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweeping:
    db: Database
    entitling: Entitling
    plans: dict[str, Plan]
    clock: Clock

    async def run_once(self) -> None:
        """Look once at everything that must hold within seconds.

        Raises:
            Unavailable: the database is away.
        """
        now = self.clock()
        async with self.db.service_connection("pulse_billing") as tx:
            plans = await entitlement_store.load_plans(tx)
            changed = [name for name, plan in plans.items() if self.plans.get(name) != plan]
            due = await entitlement_store.due_tenants(tx, now, now - OVERLAP, changed)
        self.plans.update(plans)
        await self._apply(due)

    async def remind(self) -> None:
        """Bring each unpaid bill to the step that its age has reached; apart, since they may be many.

        Raises:
            Unavailable: the database is away.
        """
        async with self.db.service_connection("pulse_billing") as tx:
            due = await entitlement_store.unpaid_tenants(tx)
        await self._apply(due)

    async def _apply(self, due: Sequence[UUID]) -> None:
        for tenant in due:
            async with self.db.service_tenant_connection("pulse_billing", TenantId(tenant)) as tx_:
                await store.lock_tenant(tx_)
                await self.entitling.apply(tx_, cause="time")


async def repeat(name: str, seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    """Do ``work`` for ever, ``seconds`` apart; trouble is waited out, and no refusal of Stripe's ends the service."""
    while True:
        try:
            await work()
        except AppError as error:
            log.warning("billing_work_waits", work=name, reason=error.message)
        await asyncio.sleep(seconds)
