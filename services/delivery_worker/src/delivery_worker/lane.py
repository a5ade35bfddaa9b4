"""A lane for each destination: its own consumer, concurrency, breaker and retries; nobody waits for a neighbour.

A lane is a durable consumer of the work queue on its route's subject; replicas with the same lane share it.  What is
tried again later stays in the stream with its delay, so a crash loses neither the message nor its turn.  An ordered
lane has one message under way at a time, over all replicas; one that fails is put aside, and what comes after it from
its device (``held``).
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import nats.errors
import nats.js.errors
import structlog
from nats.js.api import AckPolicy, ConsumerConfig
from pydantic import ValidationError

from pulse_common import events
from pulse_common.bus import MOST_WAITING
from pulse_common.delivery_events import Delivery, delivery_subject
from pulse_common.errors import Unavailable
from pulse_common.messaging import Done, Later
from pulse_common.pulling import Ended, Silent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable
    from uuid import UUID

    from nats.aio.msg import Msg

    from delivery_worker.attempts import Attempts
    from delivery_worker.domain import Breaker, Route
    from delivery_worker.held import Held
    from delivery_worker.known_routes import KnownRoutes
    from pulse_common.bus import Bus
    from pulse_common.pulling import Pull

log = structlog.get_logger(__name__)

FETCH_SECONDS = 5.0
LOOK_SECONDS = 1.0
ACK_WAIT_SECONDS = 60.0
FORGOTTEN_AFTER_SECONDS = 7 * 86_400.0
AWAY_SECONDS = 2.0
CRASH_SECONDS = 30.0
TROUBLE = (nats.errors.Error, nats.js.errors.Error, OSError, Unavailable, Silent, Ended)


@dataclass(slots=True, kw_only=True)
class Lane:
    tenant: UUID
    route_id: UUID
    bus: Bus
    routes: KnownRoutes
    attempts: Attempts
    held: Held
    breaker: Breaker
    under_way: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def consumer(self) -> str:
        return f"lane-{self.route_id}"

    async def run(self) -> None:
        """Deliver until nothing is left; trouble of the bus is waited out."""
        holding = asyncio.create_task(self.held.run())
        try:
            while not await self._serve():  # noqa: ASYNC110 -- a pause between tries, no flag
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await end([*self.under_way, holding])

    async def _serve(self) -> bool:
        """Subscribe and deliver; true once the lane is empty, false when it should be subscribed anew."""
        try:
            route = await self.routes.find(self.tenant, self.route_id)
            await self._ensure(route)
            async with self.bus.pull(events.STREAM_DELIVERY, self.consumer) as pull:
                return await self._deliver(pull, route)
        except TROUBLE as error:
            log.warning("lane_waits", route_id=str(self.route_id), error=repr(error))
            return False

    async def _deliver(self, pull: Pull, began_as: Route | None) -> bool:
        while True:
            route = await self.routes.find(self.tenant, self.route_id)
            if _order(route) != _order(began_as):
                return False
            if not await self._may_take(route):
                continue
            fetched = await pull.fetch(1, FETCH_SECONDS)
            if not fetched and not self.under_way and await self._is_empty():
                return True
            for message in fetched:
                task = asyncio.create_task(self._one(message))
                self.under_way.add(task)
                task.add_done_callback(self.under_way.discard)

    async def _is_empty(self) -> bool:
        if await self.held.count():
            return False
        info = await self.bus.jetstream.consumer_info(events.STREAM_DELIVERY, self.consumer)
        return not info.num_pending and not info.num_ack_pending

    async def _may_take(self, route: Route | None) -> bool:
        """Say whether there is room for one more; wait a little where there is not."""
        if route is None:
            return True  # its messages have nowhere to go any more
        pause = 0.0 if route.is_delivering else LOOK_SECONDS
        pause = pause or min(LOOK_SECONDS, self.breaker.wait_seconds(time.monotonic()))
        if pause:
            await asyncio.sleep(pause)
            return False
        room = 1 if route.ordered or self.breaker.is_trying else route.concurrency
        if len(self.under_way) >= room:
            await asyncio.wait(
                self.under_way, return_when=asyncio.FIRST_COMPLETED, timeout=LOOK_SECONDS
            )
            return False
        return True

    async def _one(self, message: Msg) -> None:
        try:
            await self._settle(message, await self._attempt(message))
        except asyncio.CancelledError:
            with contextlib.suppress(*TROUBLE):
                await message.nak()
            raise
        except TROUBLE as error:
            # Not acknowledged: it comes again after the ack wait.
            log.warning("delivery_not_settled", route_id=str(self.route_id), error=repr(error))

    async def _attempt(self, message: Msg) -> Done | Later:
        try:
            delivery = Delivery.model_validate_json(message.data)
            # Asked for again: between the fetch and now the route may have changed.
            route = await self.routes.find(self.tenant, self.route_id)
            if route is None or delivery.tenant_id != self.tenant:
                return Done()
            if not route.is_delivering:
                return Later(LOOK_SECONDS, "the route was paused")
            return await self._try(route, delivery, message)
        except ValidationError:
            log.warning("delivery_unreadable", route_id=str(self.route_id))
            return Done()
        except Unavailable as error:
            return Later(AWAY_SECONDS, error.message)
        except Exception:
            log.exception("delivery_crashed", route_id=str(self.route_id))
            return Later(CRASH_SECONDS, "delivery crashed")

    async def _try(self, route: Route, delivery: Delivery, message: Msg) -> Done | Later:
        if route.ordered:
            async with _kept_ours(message):
                return await self.held.take(route, delivery)
        tried = await self.attempts.send(route, delivery, message.metadata.num_delivered or 1)
        self.breaker.heed(time.monotonic(), tried.made)
        async with _kept_ours(message):
            return await self.attempts.settle(route, tried)

    async def _settle(self, message: Msg, outcome: Done | Later) -> None:
        if isinstance(outcome, Done):
            await message.ack()
        else:
            await message.nak(delay=outcome.seconds)

    async def _ensure(self, route: Route | None) -> None:
        wanted = ConsumerConfig(
            durable_name=self.consumer,
            filter_subject=delivery_subject(self.tenant, self.route_id),
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ACK_WAIT_SECONDS,
            max_ack_pending=1 if _order(route) else MOST_WAITING,
            inactive_threshold=FORGOTTEN_AFTER_SECONDS,
        )
        await self.bus.jetstream.add_consumer(events.STREAM_DELIVERY, wanted)


@contextlib.asynccontextmanager
async def _kept_ours(message: Msg) -> AsyncIterator[None]:
    """Say now and then that a message is still worked on, as long as our database is away."""

    async def say_so() -> None:
        while True:
            await asyncio.sleep(ACK_WAIT_SECONDS / 4)
            with contextlib.suppress(*TROUBLE):
                await message.in_progress()

    saying = asyncio.create_task(say_so())
    try:
        yield
    finally:
        await end([saying])


async def end(tasks: Iterable[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: before Python 3.12 asyncio.wait_for may lose one (see ``runtime``)."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        _, left = await asyncio.wait(left, timeout=0.5)


def _order(route: Route | None) -> bool:
    return route is not None and route.ordered
