"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest_worker import plans
from ingest_worker.alerts import wiring as alerts
from ingest_worker.broker import Target
from ingest_worker.buckets import Buckets
from ingest_worker.commands import Commands
from ingest_worker.late import Late
from ingest_worker.letters import Letters
from ingest_worker.link import Link
from ingest_worker.months import Months
from ingest_worker.months import reader as month_reader
from ingest_worker.pipeline import Pipeline
from ingest_worker.receipts import Receipts
from ingest_worker.renewals import Renewals
from ingest_worker.routes import endpoints
from ingest_worker.schemas import Schemas
from ingest_worker.toll import Toll
from ingest_worker.writer import Writer
from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.http import build_app, nobody

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from ingest_worker.settings import Settings
    from pulse_common.bus import Bus
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database

NAME = "ingest_worker"
STREAMS = (
    events.STREAM_TELEMETRY,
    events.STREAM_PARKED,
    events.STREAM_REFUSED,
    events.STREAM_LATE,
)


def create_app(readiness: health.Readiness) -> Starlette:
    return build_app(endpoints(readiness), nobody)


async def _open_schemas(database: Database, bus: Bus) -> Schemas:
    schemas = Schemas(database)
    await schemas.listen(bus)
    return schemas


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    bus = await parts.connect_bus(runtime, settings, NAME)
    for stream in STREAMS:
        await bus.ensure_stream(stream)
    target = Target(
        host=settings.mqtt_host,
        port=settings.mqtt_port,
        username=settings.mqtt_username,
        password=settings.mqtt_password,
        client_id=settings.mqtt_client_id,
    )
    buckets, known = Buckets(), plans.Plans(plans.reader(database))
    receipts = Receipts(database, system_clock)
    toll = Toll(buckets, known, receipts, months=Months(month_reader(database), system_clock))
    pipeline = Pipeline(bus, toll, schemas=await _open_schemas(database, bus))
    renewals = Renewals(bus, pipeline.process)
    link = Link(target, renewals.process, system_clock)
    renewals.answer_over(link)
    commands = Commands(link, database, system_clock)
    late = Late(bus, buckets, known)
    runtime.readiness.add("mqtt", link.check)
    await bus.answer(events.CommandRequest, commands.answer)
    judging = await alerts.start(runtime, database, bus, link.check)
    writer = Writer(database, system_clock, judging.judge)
    await writer.prepare_days()
    runtime.spawn("telemetry days", writer.prepare_days_for_ever())
    runtime.spawn("telemetry writer", writer.run(bus))
    runtime.spawn("live", pipeline.live.run())
    runtime.spawn("dead letters", Letters(database).run(bus))
    runtime.spawn("overflow", late.run_overflow())
    runtime.spawn("backfill", late.run_backfill())
    runtime.spawn("limit receipts", receipts.run(link))
    runtime.spawn("command answers", commands.run(bus))
    runtime.spawn("command sweep", commands.sweep_for_ever())
    runtime.spawn("mqtt link", link.run())
    # Undone first: what is in flight needs everything else to be there still.
    runtime.stack.push_async_callback(link.leave)
    return create_app(runtime.readiness)
