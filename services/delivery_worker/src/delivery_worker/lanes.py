"""Opens lanes for the routes that have something waiting, whoever put it there, and knows how much waits."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from delivery_worker import held_store
from delivery_worker.domain import Breaker
from delivery_worker.held import Held
from delivery_worker.lane import LOOK_SECONDS, TROUBLE, Lane, end
from pulse_common import events

if TYPE_CHECKING:
    from delivery_worker.attempts import Attempts
    from delivery_worker.known_routes import KnownRoutes
    from pulse_common.bus import Bus

log = structlog.get_logger(__name__)


@dataclass(slots=True, kw_only=True)
class Lanes:
    """Opens a lane for each route that has something waiting, whoever put it there."""

    bus: Bus
    routes: KnownRoutes
    attempts: Attempts
    _open: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)
    _waiting: Counter[UUID] = field(default_factory=Counter)

    def waiting_for(self, route_id: UUID) -> int:
        """Return how many messages wait for a route, those under way among them, as of the last look."""
        return self._waiting[route_id]

    def open(self, tenant: UUID, route_id: UUID) -> None:
        if route_id in self._open:
            return
        breaker = Breaker()
        lane = Lane(
            tenant=tenant,
            route_id=route_id,
            bus=self.bus,
            routes=self.routes,
            attempts=self.attempts,
            held=Held(
                tenant=tenant,
                route_id=route_id,
                routes=self.routes,
                attempts=self.attempts,
                breaker=breaker,
            ),
            breaker=breaker,
        )
        task = asyncio.create_task(lane.run(), name=f"lane {route_id}")
        self._open[route_id] = task
        task.add_done_callback(lambda _: self._open.pop(route_id, None))

    async def run(self) -> None:
        """Look for waiting messages, for ever: other replicas' too, and those of before a crash."""
        try:
            while True:
                try:
                    await self._look()
                except TROUBLE as error:
                    log.warning("lanes_wait", error=repr(error))
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await end(self._open.values())

    async def _look(self) -> None:
        info = await self.bus.jetstream.stream_info(
            events.STREAM_DELIVERY, subjects_filter="pulse.delivery.>"
        )
        waiting: Counter[UUID] = Counter()
        for subject, count in (info.state.subjects or {}).items():
            _, _, tenant, route_id = subject.split(".")
            waiting[UUID(route_id)] += count
            self.open(UUID(tenant), UUID(route_id))
        async with self.attempts.db.service_connection("pulse_delivery") as tx:
            held = await held_store.lanes(tx)
        for of_tenant, of_route, count in held:
            waiting[of_route] += count
            self.open(of_tenant, of_route)
        self._waiting = waiting
