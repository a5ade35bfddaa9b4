"""Wiring: the only place that knows which parts are real.

In this release the service holds its place: it starts, makes its stream and answers its probes.  Routes and deliveries
come with an issue of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common import events, health, parts
from pulse_common.http import build_app, nobody

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from delivery_worker.settings import Settings
    from pulse_common.runtime import Runtime

NAME = "delivery_worker"


def create_app(readiness: health.Readiness) -> Starlette:
    return build_app(health.endpoints(readiness), nobody)


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    await parts.open_database(runtime, settings.database_url, NAME)
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_DELIVERY)
    return create_app(runtime.readiness)
