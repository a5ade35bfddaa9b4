"""Tenants' routes, read at most every two seconds and kept while the database is away."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from delivery_worker import store
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from delivery_worker.domain import Route
    from pulse_common.tenancy import Database

FRESH_SECONDS = 2.0


@dataclass(slots=True)
class _Kept:
    routes: Sequence[Route] | None = None
    read_at: float = -FRESH_SECONDS
    changes: int = 0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(slots=True, kw_only=True)
class KnownRoutes:
    """Whoever asks while they are read waits for that one answer: each lane asks, and each message."""

    db: Database
    _kept: dict[UUID, _Kept] = field(default_factory=dict)

    async def of(self, tenant: UUID) -> Sequence[Route]:
        """Return the tenant's routes.

        Raises:
            Unavailable: the database is away, and they were never read.
        """
        kept = self._kept.setdefault(tenant, _Kept())
        if kept.routes is None or not _is_fresh(kept):
            async with kept.reading:
                if kept.routes is None or not _is_fresh(kept):
                    kept.routes = await self._read(tenant, kept)
        return kept.routes

    async def find(self, tenant: UUID, route_id: UUID) -> Route | None:
        return next((r for r in await self.of(tenant) if r.route_id == route_id), None)

    async def groups_of(
        self, routes: Sequence[Route], devices: Sequence[UUID]
    ) -> dict[UUID, frozenset[UUID]]:
        """Return which of the groups that one tenant's ``routes`` name each of ``devices`` is in, as of now.

        Raises:
            Unavailable: the database is away.
        """
        groups = {group for route in routes for group in route.group_ids}
        if not groups or not devices:
            return {}
        async with self.db.tenant_connection(TenantId(routes[0].tenant_id)) as tx:
            return await store.find_groups(tx, devices, list(groups))

    def changed(self, tenant: UUID) -> None:
        """Read anew at the next question."""
        if kept := self._kept.get(tenant):
            kept.read_at = -FRESH_SECONDS
            kept.changes += 1

    async def _read(self, tenant: UUID, kept: _Kept) -> Sequence[Route]:
        began, changes = time.monotonic(), kept.changes
        try:
            async with self.db.tenant_connection(TenantId(tenant)) as tx:
                routes = await store.list_routes(tx)
        except Unavailable:
            if kept.routes is None:
                raise
            routes = kept.routes
        if kept.changes == changes:  # else what changed meanwhile is read by whoever asks next
            kept.read_at = began
        return routes


def _is_fresh(kept: _Kept) -> bool:
    return time.monotonic() - kept.read_at < FRESH_SECONDS
