"""Wiring: with its ``wiring`` folder the only place that knows which parts are real."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from pulse_common import health
from pulse_common.errors import Unavailable
from pulse_common.http import build_app
from ui_iot import limits, login, logout_store, routes, session_store, unpaid
from ui_iot.api_cors import ApiCors
from ui_iot.cookies import SealedCookies
from ui_iot.rendering import SecurityHeaders
from ui_iot.sessions import IDLE_LIFE
from ui_iot.wiring import auditing, billing, devices, mails, operators, people
from ui_iot.wiring.made import open_parts

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pulse_common.clock import Clock
    from pulse_common.http import Endpoint
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database
    from ui_iot.callers import Callers
    from ui_iot.settings import Settings
    from ui_iot.wiring.made import Parts

log = structlog.get_logger(__name__)

CLEAN_EVERY_SECONDS = 600


def create_app(made: Parts) -> ASGIApp:
    callers = people.open_callers(made)
    app = build_app(
        auditing.noted(unpaid.refusing(all_endpoints(made, callers), made.db), made, callers),
        callers.authenticate,
        limiter=made.limiter,
        on_refused=made.on_refused,
        extra_routes=routes.extra_routes(devices.live_view(made, callers)),
        error_page=login.on_error,
    )
    # Its redirect would be to the Host header's http address, which is not what the browser asked.
    app.router.redirect_slashes = False
    # Round the whole application: Starlette answers bugs outside of the application's own middleware.
    shared = ApiCors(app, made.cors) if made.cors.cors_allowed_origins else app
    return SecurityHeaders(shared, issuer=made.provider.issuer)


def all_endpoints(made: Parts, callers: Callers) -> list[Endpoint]:
    sealed = SealedCookies(made.sealer, made.clock)
    return [
        *routes.endpoints(
            people.handlers(made, callers, sealed),
            devices.handlers(made, sealed),
            auditing.trail(made, callers),
            made.rates,
        ),
        *limits.limited(billing.endpoints(made), made.rates),
        *limits.limited(operators.endpoints(made, callers, sealed), made.rates),
        *mails.unsubscribing(made).endpoints(),
        *health.endpoints(made.readiness),
    ]


async def start(settings: Settings, runtime: Runtime) -> ASGIApp:
    made = await open_parts(settings, runtime)
    runtime.spawn("live sweep", made.hub.sweep())
    runtime.spawn("session cleaning", clean_sessions(made.db, made.clock))
    operators.run_beside(runtime, made)
    mails.run_beside(runtime, settings, made)
    return create_app(made)


async def clean_sessions(database: Database, clock: Clock) -> None:
    """Delete sessions that are over, for ever; finding one that is over refuses it in any case."""
    while True:
        try:
            async with database.service_connection("pulse_sessions") as tx:
                now = clock()
                await session_store.delete_ended_sessions(tx, now, now - IDLE_LIFE)
                await logout_store.delete_useless(tx, now)
        except Unavailable as error:
            log.warning("session_cleaning_waits", reason=error.message)
        await asyncio.sleep(CLEAN_EVERY_SECONDS)
