"""Wiring: the only place that knows which parts are real.

In this release the service holds its place: it starts, makes its stream and answers its probes.  Routes and deliveries
come with an issue of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NoReturn

from pulse_common import events, health, parts
from pulse_common.errors import Unauthenticated
from pulse_common.http import build_app

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from delivery_worker.settings import Settings
    from pulse_common.runtime import Runtime

NAME = "delivery_worker"


def create_app(readiness: health.Readiness) -> Starlette:
    return build_app(health.endpoints(readiness), nobody)


async def nobody(_: Request) -> NoReturn:
    """Stand at the door of a service that has no guarded routes."""
    raise Unauthenticated("there is nothing to sign in to here")


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    await parts.open_database(runtime, settings.database_url, NAME)
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_DELIVERY)
    return create_app(runtime.readiness)
