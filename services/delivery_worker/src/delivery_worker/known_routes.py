"""Tenants' routes, read at most every two seconds and kept while the database is away."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery_worker import store
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import timedelta
    from uuid import UUID

    from delivery_worker.domain import Route
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

FRESH_SECONDS = 2.0
FORGET_EVERY_SECONDS = 3600.0


@dataclass(slots=True)
class _Kept:
    routes: Sequence[Route]
    read_at: float
    forgot_at: float


@dataclass(slots=True, kw_only=True)
class KnownRoutes:
    """What is past its keeping is deleted on the way, since no role of this service sees all tenants."""

    db: Database
    clock: Clock
    keep: timedelta
    _kept: dict[UUID, _Kept] = field(default_factory=dict)

    async def of(self, tenant: UUID) -> Sequence[Route]:
        """Return the tenant's routes.

        Raises:
            Unavailable: the database is away, and they were never read.
        """
        kept = self._kept.get(tenant)
        now = time.monotonic()
        if kept is not None and now - kept.read_at < FRESH_SECONDS:
            return kept.routes
        try:
            return await self._read(tenant, now, kept)
        except Unavailable:
            if kept is None:
                raise
            kept.read_at = now
            return kept.routes

    async def find(self, tenant: UUID, route_id: UUID) -> Route | None:
        return next((r for r in await self.of(tenant) if r.route_id == route_id), None)

    def changed(self, tenant: UUID) -> None:
        """Read anew at the next question."""
        kept = self._kept.get(tenant)
        if kept is not None:
            kept.read_at = -FRESH_SECONDS

    async def _read(self, tenant: UUID, now: float, kept: _Kept | None) -> Sequence[Route]:
        due = kept is None or now - kept.forgot_at > FORGET_EVERY_SECONDS
        async with self.db.tenant_connection(TenantId(tenant)) as tx:
            routes = await store.list_routes(tx)
            if due:
                await store.forget(tx, self.clock() - self.keep)
        forgot_at = now if kept is None or due else kept.forgot_at
        self._kept[tenant] = _Kept(routes, now, forgot_at)
        return routes
