"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

from delivery_worker.attempts import Attempts
from delivery_worker.audit_feed import AuditFeed
from delivery_worker.calls import Caller
from delivery_worker.handlers import Handlers
from delivery_worker.keeping import Keeping
from delivery_worker.known_routes import KnownRoutes
from delivery_worker.lanes import Lanes
from delivery_worker.placing import Dropped, Placing
from delivery_worker.replaying import Replaying
from delivery_worker.router import HAPPENED, READINGS, Router
from delivery_worker.signing import Safe
from delivery_worker.turns import Turns
from pulse_common import delivery_events as calls
from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.consume import consume_batches
from pulse_common.http import build_app, nobody
from pulse_common.outbox import Relay

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from delivery_worker.settings import Settings
    from pulse_common.bus import Bus
    from pulse_common.runtime import Runtime

NAME = "delivery_worker"


def create_app(readiness: health.Readiness) -> Starlette:
    return build_app(health.endpoints(readiness), nobody)


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(runtime, settings.database_url, NAME, max_connections=20)
    bus = await parts.connect_bus(runtime, settings, NAME)
    for stream in (events.STREAM_DELIVERY, events.STREAM_TELEMETRY, events.STREAM_EVENTS):
        await bus.ensure_stream(stream)
    rules, safe = settings.rules(), Safe(settings.keys())
    caller = Caller(rules)
    runtime.stack.push_async_callback(caller.close)
    attempts = Attempts(db=database, caller=caller, safe=safe, clock=system_clock)
    routes = KnownRoutes(db=database)
    lanes = Lanes(bus=bus, routes=routes, attempts=attempts)
    placing = Placing(bus=bus, lanes=lanes)
    dropped = Dropped(db=database, clock=system_clock)
    handlers = Handlers(
        db=database,
        safe=safe,
        rules=rules,
        routes=routes,
        lanes=lanes,
        attempts=attempts,
        clock=system_clock,
    )
    router = Router(routes=routes, placing=placing, dropped=dropped)
    keep = timedelta(days=settings.delivery_log_days)
    turns = Turns(db=database)
    runtime.spawn("outbox relay", Relay(database, bus).run())
    runtime.spawn("lanes", lanes.run())
    runtime.spawn("dropped", dropped.run())
    runtime.spawn("routing", turns.run("routing", lambda: route_all(bus, router)))
    feed = AuditFeed(db=database, routes=routes, placing=placing)
    runtime.spawn("audit feed", turns.run("audit", feed.run))
    keeping = Keeping(db=database, clock=system_clock, keep=keep)
    runtime.spawn("keeping", turns.run("keeping", keeping.run))
    await _answer(bus, handlers, Replaying(db=database, placing=placing))
    return create_app(runtime.readiness)


async def route_all(bus: Bus, router: Router) -> None:
    """Route readings and events, for ever: in one replica at a time."""
    async with asyncio.TaskGroup() as both:
        both.create_task(consume_batches(bus, READINGS, router.handle))
        both.create_task(consume_batches(bus, HAPPENED, router.handle))


async def _answer(bus: Bus, handlers: Handlers, replaying: Replaying) -> None:
    await bus.answer(calls.CreateRouteRequest, handlers.create)
    await bus.answer(calls.ChangeRouteRequest, handlers.change)
    await bus.answer(calls.DeleteRouteRequest, handlers.delete)
    await bus.answer(calls.RotateSecretRequest, handlers.rotate)
    await bus.answer(calls.VerifyRouteRequest, handlers.verify)
    await bus.answer(calls.TestRouteRequest, handlers.test)
    await bus.answer(calls.PauseRouteRequest, handlers.pause)
    await bus.answer(calls.ResumeRouteRequest, handlers.resume)
    await bus.answer(calls.ReplayDeadRequest, replaying.replay)
    await bus.answer(calls.BacklogRequest, handlers.backlog)
