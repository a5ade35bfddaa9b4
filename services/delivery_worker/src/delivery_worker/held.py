"""What an ordered route puts aside, so that a message which fails holds up its own device and nobody else.

A message that fails waits in the database for its next attempt, and what comes after it from the same device waits
behind it, untried.  The lane goes on with the others.  1,000 messages of a device and 5,000 of a route are put aside.
What comes above that is a dead letter at once while others get through; while nobody does, it is the endpoint, and the
lane waits.  Replicas share what was put aside: each claims one message at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from delivery_worker import dead_store, domain, held_store
from pulse_common.delivery_events import Delivery
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.messaging import Done, Later

if TYPE_CHECKING:
    from uuid import UUID

    from delivery_worker.attempts import Attempts, Outcome
    from delivery_worker.domain import Breaker, Route
    from delivery_worker.known_routes import KnownRoutes
    from pulse_common.tenancy import TenantTx

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.0
_WHENEVER = datetime.max.replace(tzinfo=UTC)
NO_ROOM = "as many messages wait behind one of the same device as may"


@dataclass(slots=True, kw_only=True)
class Held:
    tenant: UUID
    route_id: UUID
    routes: KnownRoutes
    attempts: Attempts
    breaker: Breaker
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    _gets_through: bool | None = None
    """Whether the last message was delivered that no other one had failed before; None until there was one."""

    async def count(self) -> int:
        async with self.attempts.db.tenant_connection(TenantId(self.tenant)) as tx:
            return (await held_store.count(tx, self.route_id, None))[0]

    async def take(self, route: Route, delivery: Delivery) -> Outcome:
        """Deliver one message of the lane, or put it aside: behind another of its device, or since it failed.

        Raises:
            Unavailable: the database is away, and nothing was sent.
        """
        async with self._turn:
            at = self.attempts.clock()
            async with self.attempts.db.tenant_connection(TenantId(self.tenant)) as tx:
                in_all, of_device = await held_store.count(tx, self.route_id, delivery.device_id)
                has_room = in_all < domain.MOST_HELD and of_device < domain.MOST_HELD_OF_DEVICE
                if not has_room and not self._others_get_through(route):
                    return Later(LOOK_SECONDS, NO_ROOM)
                if of_device and has_room:
                    await held_store.hold(tx, delivery, 0, at)
                elif of_device:
                    await dead_store.bury(tx, delivery, 0, at, NO_ROOM)
            if not of_device:
                await self._try_first(route, delivery, has_room=has_room)
        return Done()

    def _others_get_through(self, route: Route) -> bool:
        return route.failing_since is None if self._gets_through is None else self._gets_through

    async def _try_first(self, route: Route, delivery: Delivery, *, has_room: bool) -> None:
        was_trying = self.breaker.is_trying
        tried = await self.attempts.send(route, delivery, 1)
        self.breaker.heed(time.monotonic(), tried.made)
        self._gets_through = tried.made.delivered

        async def put_aside(tx: TenantTx, outcome: Outcome) -> None:
            if isinstance(outcome, Later) and has_room:
                due = tried.at + timedelta(seconds=outcome.seconds)
                await held_store.hold(tx, delivery, 1, due)
            elif isinstance(outcome, Later):
                await dead_store.bury(tx, delivery, 1, tried.at, NO_ROOM)
            elif was_trying and tried.made.delivered:
                await held_store.all_due(tx, self.route_id, tried.at)

        await self.attempts.settle(route, tried, put_aside)

    async def run(self) -> None:
        """Deliver what was put aside as it becomes due, for ever."""
        while True:
            try:
                worked = await self._next()
            except Unavailable as error:
                log.warning("held_waits", route_id=str(self.route_id), reason=error.message)
                worked = False
            except Exception:
                log.exception("held_crashed", route_id=str(self.route_id))
                worked = False
            if not worked:
                await asyncio.sleep(LOOK_SECONDS)

    async def _next(self) -> bool:
        route = await self.routes.find(self.tenant, self.route_id)
        if route is None or not route.is_delivering:
            return False
        async with self._turn:
            if self.breaker.wait_seconds(time.monotonic()):
                return False
            # Whether the endpoint is back is asked with what is there, due or not.
            asks = self.breaker.is_trying
            at = self.attempts.clock()
            async with self.attempts.db.tenant_connection(TenantId(self.tenant)) as tx:
                found = await held_store.claim(tx, self.route_id, _WHENEVER if asks else at, at)
            if found is None:
                return False
            try:
                await self._try_again(route, found, early=found.due_at > at)
            except asyncio.CancelledError:
                # We are stopped: another replica need not wait for the claim's end.
                await self._release(found)
                raise
            return True

    async def _release(self, found: held_store.Claim) -> None:
        with contextlib.suppress(Unavailable):
            async with self.attempts.db.tenant_connection(TenantId(self.tenant)) as tx:
                await held_store.release(tx, self.route_id, found)

    async def _try_again(self, route: Route, found: held_store.Claim, *, early: bool) -> None:
        """Try what was put aside; an ``early`` attempt that fails costs the message none of its own."""
        delivery = Delivery.model_validate_json(found.message)
        was_trying = self.breaker.is_trying
        tried = await self.attempts.send(route, delivery, found.attempts + (not early))
        # One device's failures say nothing of the endpoint, unless that was the question.
        if tried.made.delivered or was_trying:
            self.breaker.heed(time.monotonic(), tried.made)

        async def go_on(tx: TenantTx, outcome: Outcome) -> None:
            if isinstance(outcome, Later):
                later = tried.at + timedelta(seconds=outcome.seconds)
                due = found.due_at if early else later
                await held_store.again(tx, delivery, tried.number, due)
                return
            await held_store.end(tx, delivery)
            if was_trying and tried.made.delivered:
                await held_store.all_due(tx, self.route_id, tried.at)

        await self.attempts.settle(route, tried, go_on)
