"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import structlog

from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.cors import CorsSettings
from pulse_common.errors import Unavailable
from pulse_common.http import build_app
from ui_iot import billing_api, billing_pages, limits, login, logout_store, operating, session_store
from ui_iot.api import Api
from ui_iot.api_cors import ApiCors
from ui_iot.audit_trail import AuditTrail
from ui_iot.audit_views import observed
from ui_iot.backchannel import BackChannel
from ui_iot.callers import Callers
from ui_iot.changes import Changes
from ui_iot.cookies import SealedCookies
from ui_iot.directory import open_directory
from ui_iot.endings import Endings
from ui_iot.gate_api import GateApi
from ui_iot.handlers import Pages
from ui_iot.limits import Rates, of_live_views
from ui_iot.live import Hub
from ui_iot.notices import Notices
from ui_iot.oidc import IdentityProvider
from ui_iot.once import Once
from ui_iot.refresh import Refresher
from ui_iot.rendering import SecurityHeaders
from ui_iot.routes import Handlers, endpoints, extra_routes
from ui_iot.sealing import Sealer
from ui_iot.session_api import SessionApi
from ui_iot.session_pages import SessionPages
from ui_iot.sessions import IDLE_LIFE, Sessions
from ui_iot.socket import LiveSocket, Pace
from ui_iot.team import Team
from ui_iot.team_api import TeamApi
from ui_iot.team_pages import TeamPages
from ui_iot.team_turns import Turns
from ui_iot.vault import Vault
from ui_iot.visits import visit_of
from ui_iot.watching import Seats, Watching

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from pulse_common.audit_observe import Observer
    from pulse_common.bus import Bus
    from pulse_common.client_address import Network
    from pulse_common.clock import Clock
    from pulse_common.http import Endpoint, OnRefused
    from pulse_common.jwt import JwtVerifier
    from pulse_common.ratelimit import Limiter
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database
    from ui_iot.directory import Directory
    from ui_iot.settings import Settings

log = structlog.get_logger(__name__)

NAME = "ui_iot"
CLEAN_EVERY_SECONDS = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the application is made of, real or a test's."""

    db: Database
    operator_db: Database
    bus: Bus
    clock: Clock
    verifier: JwtVerifier
    provider: IdentityProvider
    directory: Directory
    sealer: Sealer
    hub: Hub
    notices: Notices
    public_url: str
    readiness: health.Readiness
    limiter: Limiter
    on_refused: OnRefused
    observer: Observer | None = None
    trusted_proxies: tuple[Network, ...] = ()
    step_up_max_age_seconds: int = 300
    rates: Rates = field(default_factory=Rates)
    pace: Pace = field(default_factory=Pace)
    live_views_per_person: int = 20
    cors: CorsSettings = field(default_factory=CorsSettings)


def create_app(made: Parts) -> ASGIApp:
    callers = open_callers(made)
    socket = LiveSocket(
        hub=made.hub,
        watching=Watching(
            callers=callers,
            db=made.db,
            clock=made.clock,
            on_refused=made.on_refused,
            limiter=made.limiter,
            limit=of_live_views(made.rates),
        ),
        seats=Seats(made.live_views_per_person),
        notices=made.notices,
        pace=made.pace,
    )
    app = build_app(
        _observed(made, callers),
        callers.authenticate,
        limiter=made.limiter,
        on_refused=made.on_refused,
        extra_routes=extra_routes(socket),
        error_page=login.on_error,
    )
    # Its redirect would be to the Host header's http address, which is not what the browser asked.
    app.router.redirect_slashes = False
    # Round the whole application: Starlette answers bugs outside of the application's own middleware.
    shared = ApiCors(app, made.cors) if made.cors.cors_allowed_origins else app
    return SecurityHeaders(shared, issuer=made.provider.issuer)


def _observed(made: Parts, callers: Callers) -> list[Endpoint]:
    endpoints = all_endpoints(made, callers)
    if made.observer is None:
        return endpoints
    return observed(endpoints, made.observer, callers.visit_of)


def all_endpoints(made: Parts, callers: Callers) -> list[Endpoint]:
    sealed = SealedCookies(made.sealer, made.clock)
    endings = Endings(
        db=made.db,
        vault=Vault(made.sealer),
        provider=made.provider,
        notices=made.notices,
        clock=made.clock,
    )
    once = Once(db=made.db, sealer=made.sealer, clock=made.clock)
    turns = Turns(db=made.db, directory=made.directory)
    team = Team(directory=made.directory, turns=turns, endings=endings)
    handlers = Handlers(
        login=login.Login(
            provider=made.provider,
            sessions=callers.sessions,
            verifier=made.verifier,
            sealed=sealed,
            visit_of=callers.visit_of,
            on_refused=made.on_refused,
            clock=made.clock,
        ),
        back_channel=BackChannel(
            endings=endings,
            verifier=made.verifier,
            client_id=made.provider.client_id,
            db=made.db,
            visit_of=callers.visit_of,
            on_refused=made.on_refused,
        ),
        pages=Pages(
            db=made.db, bus=made.bus, clock=made.clock, sealed=sealed, public_url=made.public_url
        ),
        session_pages=SessionPages(db=made.db, endings=endings, callers=callers),
        api=Api(db=made.db, bus=made.bus, clock=made.clock),
        changes=Changes(
            db=made.db,
            bus=made.bus,
            clock=made.clock,
            once=once,
        ),
        session_api=SessionApi(db=made.db, endings=endings, callers=callers),
        team_pages=TeamPages(db=made.db, team=team, callers=callers),
        team_api=TeamApi(db=made.db, team=team, once=once, callers=callers),
        audit_trail=AuditTrail(db=made.db, callers=callers, clock=made.clock),
        gate=GateApi(db=made.db, bus=made.bus, clock=made.clock),
    )
    operators = operating.endpoints(
        db=made.db,
        operator_db=made.operator_db,
        bus=made.bus,
        callers=callers,
        sealed=sealed,
        clock=made.clock,
    )
    billing = [*billing_pages.endpoints(db=made.db, bus=made.bus), *billing_api.endpoints(made.bus)]
    return [
        *endpoints(handlers, made.rates),
        *limits.limited(billing, made.rates),
        *limits.limited(operators, made.rates),
        *health.endpoints(made.readiness),
    ]


def open_callers(made: Parts) -> Callers:
    vault = Vault(made.sealer)
    refresher = Refresher(db=made.db, vault=vault, provider=made.provider, clock=made.clock)
    sessions = Sessions(
        db=made.db,
        vault=vault,
        refresher=refresher,
        verifier=made.verifier,
        notices=made.notices,
        clock=made.clock,
    )
    return Callers(
        sessions=sessions,
        verifier=made.verifier,
        public_url=made.public_url,
        visit_of=partial(visit_of, trusted=made.trusted_proxies),
        clock=made.clock,
        step_up_max_age_seconds=made.step_up_max_age_seconds,
        step_up_acr=made.provider.step_up_acr,
    )


async def start(settings: Settings, runtime: Runtime) -> ASGIApp:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    operator_database = await parts.open_database(
        runtime, settings.operator_database_url, f"{NAME} operator", max_connections=4
    )
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_EVENTS)
    http = await parts.open_http(runtime)
    hub = Hub(bus, system_clock)
    await hub.start()
    notices = Notices(bus)
    await notices.start()
    runtime.spawn("live sweep", hub.sweep())
    runtime.spawn("session cleaning", clean_sessions(database, system_clock))
    proxies = settings.trusted_proxies
    made = Parts(
        db=database,
        operator_db=operator_database,
        bus=bus,
        clock=system_clock,
        verifier=parts.token_verifier(
            runtime,
            http,
            issuer=settings.oidc_issuer,
            internal_url=settings.oidc_internal_url,
            audience=settings.oidc_audience,
            clients=settings.oidc_allowed_clients,
        ),
        provider=IdentityProvider(
            http=http,
            issuer=settings.oidc_issuer,
            internal_url=settings.oidc_internal_url,
            client_id=settings.oidc_client_id,
            client_secret=settings.oidc_client_secret,
            redirect_uri=f"{settings.public_url}/auth/callback",
            after_logout_uri=f"{settings.public_url}/",
            step_up_acr=settings.step_up_acr,
        ),
        directory=open_directory(
            http=http,
            internal_url=settings.oidc_internal_url,
            client_id=settings.oidc_admin_client_id,
            secret=settings.oidc_admin_client_secret,
            invite_to=settings.oidc_client_id,
            clock=system_clock,
        ),
        sealer=Sealer(settings.encryption_keys()),
        hub=hub,
        notices=notices,
        public_url=settings.public_url,
        readiness=runtime.readiness,
        limiter=parts.open_limiter(runtime, settings.rate_limit_store_url, proxies),
        observer=parts.open_observer(runtime, database, settings.audit_spool_directory)
        if settings.audit_spool_directory
        else None,
        on_refused=parts.open_auth_audit(runtime, database, proxies).refused,
        trusted_proxies=proxies,
        step_up_max_age_seconds=settings.step_up_max_age_seconds,
        live_views_per_person=settings.live_views_per_person,
        cors=settings,
        rates=Rates(
            auth_per_minute=settings.auth_attempts_per_minute,
            live_per_minute=settings.live_connections_per_minute,
            api_per_minute=settings.api_requests_per_minute,
            pages_per_minute=settings.page_requests_per_minute,
            tenant_per_minute=settings.tenant_requests_per_minute,
        ),
    )
    operating.run_beside(
        runtime,
        settings,
        db=database,
        operator_db=operator_database,
        bus=bus,
        directory=made.directory,
    )
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
