"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from delivery_worker.attempts import Attempts
from delivery_worker.calls import Caller
from delivery_worker.handlers import Handlers
from delivery_worker.known_routes import KnownRoutes
from delivery_worker.lanes import Lanes
from delivery_worker.router import HAPPENINGS, READINGS, Router
from delivery_worker.signing import Safe
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
    routes = KnownRoutes(
        db=database, clock=system_clock, keep=timedelta(days=settings.delivery_log_days)
    )
    lanes = Lanes(bus=bus, routes=routes, attempts=attempts)
    handlers = Handlers(
        db=database,
        bus=bus,
        safe=safe,
        rules=rules,
        routes=routes,
        lanes=lanes,
        attempts=attempts,
        clock=system_clock,
    )
    router = Router(bus=bus, routes=routes, lanes=lanes)
    runtime.spawn("outbox relay", Relay(database, bus).run())
    runtime.spawn("lanes", lanes.run())
    runtime.spawn("readings", consume_batches(bus, READINGS, router.handle))
    runtime.spawn("events", consume_batches(bus, HAPPENINGS, router.handle))
    await _answer(bus, handlers)
    return create_app(runtime.readiness)


async def _answer(bus: Bus, handlers: Handlers) -> None:
    await bus.answer(calls.CreateRouteRequest, handlers.create)
    await bus.answer(calls.ChangeRouteRequest, handlers.change)
    await bus.answer(calls.DeleteRouteRequest, handlers.delete)
    await bus.answer(calls.RotateSecretRequest, handlers.rotate)
    await bus.answer(calls.VerifyRouteRequest, handlers.verify)
    await bus.answer(calls.TestRouteRequest, handlers.test)
    await bus.answer(calls.PauseRouteRequest, handlers.pause)
    await bus.answer(calls.ResumeRouteRequest, handlers.resume)
    await bus.answer(calls.ReplayDeadRequest, handlers.replay)
