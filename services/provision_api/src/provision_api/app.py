"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api import shapes
from provision_api.callers import Callers
from provision_api.canary import Canary
from provision_api.device_token_api import DeviceTokenApi
from provision_api.device_token_calls import DeviceTokenCalls
from provision_api.device_tokens import DeviceTokens
from provision_api.enrolment import Enrolment
from provision_api.fleet import wiring as fleet
from provision_api.groups import Groups
from provision_api.handlers import Provisioning
from provision_api.renaming import Renaming
from provision_api.routes import Rates, endpoints
from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.http import build_app
from pulse_common.outbox import Relay

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from provision_api.settings import Settings
    from pulse_common.bus import Bus
    from pulse_common.http import OnRefused
    from pulse_common.ratelimit import Limiter
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database

NAME = "provision_api"


@dataclass(frozen=True, slots=True, kw_only=True)
class Doors:
    """Who is let in, how often, and who is told of those that are not."""

    callers: Callers
    rates: Rates
    limiter: Limiter
    on_refused: OnRefused


def create_app(
    provisioning: Provisioning,
    doors: Doors,
    readiness: health.Readiness,
    device_tokens: DeviceTokenApi | None = None,
) -> Starlette:
    more = device_tokens.endpoints(doors.rates.admin_per_minute) if device_tokens else []
    routes = [*endpoints(provisioning, doors.rates), *more, *health.endpoints(readiness)]
    return build_app(
        routes, doors.callers.authenticate, limiter=doors.limiter, on_refused=doors.on_refused
    )


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_EVENTS)
    verifier = parts.token_verifier(
        runtime,
        await parts.open_http(runtime),
        issuer=settings.oidc_issuer,
        internal_url=settings.oidc_internal_url,
        audience=settings.oidc_audience,
        clients=settings.oidc_allowed_clients,
    )
    broker = shapes.Broker(
        host=settings.mqtt_public_host,
        port=settings.mqtt_public_port,
        ca_certificates=settings.broker_authorities(),
    )
    proxies = settings.trusted_proxies
    refusals = parts.open_auth_audit(runtime, database, proxies)
    provisioning = Provisioning(
        Enrolment(database, bus, system_clock),
        Renaming(db=database, clock=system_clock),
        verifier,
        broker,
        refusals.refused_call,
        proxies,
        proxies if settings.client_certificate_header else (),
    )
    tokens = DeviceTokens(db=database, clock=system_clock)
    await _listen(bus, database, provisioning, tokens)
    runtime.spawn("outbox relay", Relay(database, bus).run())
    runtime.spawn("imports", fleet.work_imports_off(database))
    if settings.canary_every_seconds:
        canary = Canary(database, every_seconds=settings.canary_every_seconds)
        runtime.spawn("canary tenants", canary.run())
    doors = Doors(
        callers=Callers(settings.provision_admin_key.get_secret_value().encode(), verifier),
        rates=Rates(
            admin_per_minute=settings.provision_admin_per_minute,
            enrol_per_minute=settings.provision_enrol_per_minute,
        ),
        limiter=parts.open_limiter(runtime, settings.rate_limit_store_url, proxies),
        on_refused=refusals.refused,
    )
    device_tokens = DeviceTokenApi(tokens, proxies)
    return create_app(provisioning, doors, runtime.readiness, device_tokens)


async def _listen(
    bus: Bus, database: Database, provisioning: Provisioning, tokens: DeviceTokens
) -> None:
    """Answer what ui_iot asks for people."""
    administrators = provisioning.administrators
    await bus.answer(events.CreateDeviceRequest, provisioning.answer_create_device)
    await bus.answer(events.MintTokenRequest, provisioning.answer_mint_token)
    await bus.answer(events.RenameDeviceRequest, provisioning.answer_rename_device)
    await provisioning.rescue_door.listen(bus)
    await provisioning.transfer_calls.listen(bus)
    await fleet.answer(bus, database, administrators)
    await Groups(db=database, clock=system_clock, administrators=administrators).listen(bus)
    await DeviceTokenCalls(tokens, administrators).listen(bus)
