"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount

from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.http import build_app
from ui_iot import login, store
from ui_iot.api import Api
from ui_iot.callers import Callers
from ui_iot.cookies import SealedCookies
from ui_iot.handlers import Pages
from ui_iot.live import Hub
from ui_iot.oidc import IdentityProvider
from ui_iot.refresh import Refresher
from ui_iot.rendering import SecurityHeaders
from ui_iot.routes import endpoints, extra_routes
from ui_iot.sealing import Sealer
from ui_iot.sessions import IDLE_LIFE, Sessions
from ui_iot.socket import LiveSocket, Pace
from ui_iot.vault import Vault

if TYPE_CHECKING:
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.http import Endpoint
    from pulse_common.jwt import JwtVerifier
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database
    from ui_iot.settings import Settings

log = structlog.get_logger(__name__)

NAME = "ui_iot"
CLEAN_EVERY_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the application is made of, real or a test's."""

    db: Database
    bus: Bus
    clock: Clock
    verifier: JwtVerifier
    provider: IdentityProvider
    sealer: Sealer
    hub: Hub
    public_url: str
    readiness: health.Readiness
    pace: Pace = field(default_factory=Pace)


def create_app(made: Parts) -> Starlette:
    sessions = open_sessions(made)
    callers = Callers(sessions, made.verifier, made.public_url)
    socket = LiveSocket(hub=made.hub, callers=callers, db=made.db, pace=made.pace)
    app = build_app(
        all_endpoints(made, sessions),
        callers.authenticate,
        extra_routes=extra_routes(socket),
        error_page=login.on_error,
    )
    # Its redirect would be to the Host header's http address, which is not what the browser asked.
    app.router.redirect_slashes = False
    # Round the whole application: Starlette answers bugs outside of the application's own middleware.
    headers = Middleware(SecurityHeaders, issuer=made.provider.issuer)
    return Starlette(routes=[Mount("/", app)], middleware=[headers])


def all_endpoints(made: Parts, sessions: Sessions) -> list[Endpoint]:
    sealed = SealedCookies(made.sealer, made.clock)
    doors = login.Login(
        provider=made.provider, sessions=sessions, verifier=made.verifier, sealed=sealed
    )
    pages = Pages(
        db=made.db, bus=made.bus, clock=made.clock, sealed=sealed, public_url=made.public_url
    )
    api = Api(db=made.db, bus=made.bus, clock=made.clock)
    return [*endpoints(doors, pages, api), *health.endpoints(made.readiness)]


def open_sessions(made: Parts) -> Sessions:
    vault = Vault(made.sealer)
    refresher = Refresher(db=made.db, vault=vault, provider=made.provider, clock=made.clock)
    return Sessions(
        db=made.db, vault=vault, refresher=refresher, verifier=made.verifier, clock=made.clock
    )


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    await parts.open_database(
        runtime, settings.operator_database_url, f"{NAME} operator", max_connections=2
    )
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_EVENTS)
    http = await parts.open_http(runtime)
    hub = Hub(bus, system_clock)
    await hub.start()
    runtime.spawn("live sweep", hub.sweep())
    runtime.spawn("session cleaning", clean_sessions(database, system_clock))
    made = Parts(
        db=database,
        bus=bus,
        clock=system_clock,
        verifier=parts.token_verifier(
            runtime,
            http,
            issuer=settings.oidc_issuer,
            internal_url=settings.oidc_internal_url,
            audience=settings.oidc_audience,
            clients=[settings.oidc_client_id],
        ),
        provider=IdentityProvider(
            http=http,
            issuer=settings.oidc_issuer,
            internal_url=settings.oidc_internal_url,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            redirect_uri=f"{settings.public_url}/auth/callback",
            after_logout_uri=f"{settings.public_url}/",
        ),
        sealer=Sealer(settings.encryption_keys()),
        hub=hub,
        public_url=settings.public_url,
        readiness=runtime.readiness,
    )
    return create_app(made)


async def clean_sessions(database: Database, clock: Clock) -> None:
    """Delete sessions that are over, for ever; finding one that is over refuses it in any case."""
    while True:
        try:
            async with database.service_connection("pulse_sessions") as tx:
                now = clock()
                await store.delete_ended_sessions(tx, now, now - IDLE_LIFE)
        except Unavailable as error:
            log.warning("session_cleaning_waits", reason=error.message)
        await asyncio.sleep(CLEAN_EVERY_SECONDS)
