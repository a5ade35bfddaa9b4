"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest_worker.broker import Target
from ingest_worker.commands import Commands
from ingest_worker.link import Link
from ingest_worker.pipeline import Pipeline
from ingest_worker.routes import endpoints
from ingest_worker.writer import Writer
from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.http import build_app, nobody

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ingest_worker.settings import Settings
    from pulse_common.runtime import Runtime

NAME = "ingest_worker"


def create_app(readiness: health.Readiness) -> Starlette:
    return build_app(endpoints(readiness), nobody)


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_TELEMETRY)
    await bus.ensure_stream(events.STREAM_PARKED)
    writer = Writer(database, system_clock)
    await writer.prepare_days()
    target = Target(
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        username=settings.mqtt_username,
        password=settings.mqtt_password,
        client_id=settings.mqtt_client_id,
    )
    link = Link(target, Pipeline(bus).process, system_clock)
    runtime.readiness.add("mqtt", link.check)
    await bus.answer(events.CommandRequest, Commands(link).answer)
    runtime.spawn("telemetry days", writer.prepare_days_for_ever())
    runtime.spawn("telemetry writer", writer.run(bus))
    runtime.spawn("mqtt link", link.run())
    # Undone first: what is in flight needs everything else to be there still.
    runtime.stack.push_async_callback(link.leave)
    return create_app(runtime.readiness)
