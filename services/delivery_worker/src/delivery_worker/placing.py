"""Puts deliveries into their routes' lanes, as many as a lane may hold; what finds no room is counted and told.

A route may have 10,000 messages waiting (the stream refuses more), or about 32 MiB: its tenant's flood, pause or dead
endpoint fills nobody else's room.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from delivery_worker import room_store, troubles
from pulse_common.delivery_events import RouteTroubled, delivery_subject
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from uuid import UUID

    from delivery_worker.domain import Route
    from delivery_worker.lanes import Lanes
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.delivery_events import Delivery
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

MOST_WAITING_BYTES = 32 * 1024 * 1024
COUNT_EVERY_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Placing:
    bus: Bus
    lanes: Lanes

    async def place(self, delivery: Delivery, message_id: str | None = None) -> bool:
        """Put one delivery into its lane; False when there is no room.

        ``message_id`` is another name for a delivery that the stream has seen before.

        Raises:
            Unavailable: the bus is away; the same delivery may be placed again, it is stored once.
        """
        data = delivery.to_bytes()
        # As if all that wait were as large as this one; the count is at most a second old.
        if self.lanes.waiting_for(delivery.route_id) * len(data) > MOST_WAITING_BYTES:
            return False
        placed = await self.bus.publish_if_subject_has_room(
            delivery_subject(delivery.tenant_id, delivery.route_id),
            data,
            message_id=message_id or delivery.delivery_id,
        )
        self.lanes.open(delivery.tenant_id, delivery.route_id)
        return placed


@dataclass(frozen=True, slots=True, kw_only=True)
class Dropped:
    """Counts for each route what found no room; the tenant sees the count, and hears of it once a day."""

    db: Database
    clock: Clock
    _counts: Counter[tuple[UUID, UUID]] = field(default_factory=Counter)

    def note(self, route: Route) -> None:
        self._counts[route.tenant_id, route.route_id] += 1

    async def run(self) -> None:
        """Write the counts down, for ever; a crash loses those of two seconds, not those of an orderly stop."""
        try:
            while True:
                await asyncio.sleep(COUNT_EVERY_SECONDS)
                await self.write_down()
        finally:
            await self.write_down()

    async def write_down(self) -> None:
        for (tenant, route_id), count in list(self._counts.items()):
            try:
                await self._write(TenantId(tenant), route_id, count)
            except Unavailable as error:
                log.warning("dropped_not_counted_yet", reason=error.message)
                return
            self._counts[tenant, route_id] -= count
        for key in [key for key, count in self._counts.items() if not count]:
            del self._counts[key]

    async def _write(self, tenant: TenantId, route_id: UUID, count: int) -> None:
        at = self.clock()
        async with self.db.tenant_connection(tenant) as tx:
            await room_store.count_dropped(tx, route_id, count, at)
            name = await room_store.claim_telling(tx, route_id, at)
            if name is not None:
                troubled = RouteTroubled(
                    tenant_id=tenant, at=at, route_id=route_id, name=name, kind="full", since=at
                )
                await troubles.tell(tx, troubled)
        log.warning("deliveries_dropped", route_id=str(route_id), dropped=count)
