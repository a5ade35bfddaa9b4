"""What the application is made of, and how it is made from the settings."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulse_common import events, parts
from pulse_common.clock import system_clock
from pulse_common.cors import CorsSettings
from ui_iot.directory import open_directory
from ui_iot.limits import Rates
from ui_iot.live import Hub
from ui_iot.notices import Notices
from ui_iot.oidc import IdentityProvider
from ui_iot.sealing import Sealer
from ui_iot.socket import Pace

if TYPE_CHECKING:
    import httpx2

    from pulse_common import health
    from pulse_common.audit_observe import Observer
    from pulse_common.bus import Bus
    from pulse_common.client_address import Network
    from pulse_common.clock import Clock
    from pulse_common.http import OnRefused
    from pulse_common.jwt import JwtVerifier
    from pulse_common.ratelimit import Limiter
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database
    from ui_iot.directory import Directory
    from ui_iot.settings import Settings

NAME = "ui_iot"


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


async def open_parts(settings: Settings, runtime: Runtime) -> Parts:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    operator_database = await parts.open_database(
        runtime, settings.operator_database_url, f"{NAME} operator", max_connections=4
    )
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_EVENTS)
    http = await parts.open_http(runtime)
    hub, notices = Hub(bus, system_clock), Notices(bus)
    await hub.start()
    await notices.start()
    proxies = settings.trusted_proxies
    return Parts(
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
        provider=_provider(settings, http),
        directory=_directory(settings, http),
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
        rates=_rates(settings),
    )


def _provider(settings: Settings, http: httpx2.AsyncClient) -> IdentityProvider:
    return IdentityProvider(
        http=http,
        issuer=settings.oidc_issuer,
        internal_url=settings.oidc_internal_url,
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret,
        redirect_uri=f"{settings.public_url}/auth/callback",
        after_logout_uri=f"{settings.public_url}/",
        step_up_acr=settings.step_up_acr,
    )


def _directory(settings: Settings, http: httpx2.AsyncClient) -> Directory:
    return open_directory(
        http=http,
        internal_url=settings.oidc_internal_url,
        client_id=settings.oidc_admin_client_id,
        secret=settings.oidc_admin_client_secret,
        invite_to=settings.oidc_client_id,
        clock=system_clock,
    )


def _rates(settings: Settings) -> Rates:
    return Rates(
        auth_per_minute=settings.auth_attempts_per_minute,
        live_per_minute=settings.live_connections_per_minute,
        invitations_per_hour=settings.invitations_per_hour,
        api_per_minute=settings.api_requests_per_minute,
        pages_per_minute=settings.page_requests_per_minute,
        tenant_per_minute=settings.tenant_requests_per_minute,
    )
