"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from cert_worker.authority import Place, open_authority
from cert_worker.ca import CaRefused
from cert_worker.handlers.pki import Pki
from cert_worker.handlers.revoke import Revoking
from cert_worker.handlers.sign import Signing
from cert_worker.profile import DeviceProfile
from cert_worker.publisher import CrlPublisher
from cert_worker.routes import endpoints
from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.errors import Unauthenticated
from pulse_common.http import build_app
from pulse_common.outbox import Relay
from pulse_common.runtime import EXIT_CONFIG

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request

    from cert_worker.authority import Authority
    from cert_worker.settings import Settings
    from pulse_common.identity import Principal
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database

NAME = "cert_worker"


async def refuse_everybody(_: Request) -> Principal:
    """Authenticate nobody: this service has no callers over HTTP, only readers."""
    raise Unauthenticated("nobody signs in here")


def create_app(*, pki: Pki, readiness: health.Readiness) -> Starlette:
    return build_app([*endpoints(pki), *health.endpoints(readiness)], refuse_everybody)


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    authority = await _authority(settings, database)
    publisher = CrlPublisher(
        database=database,
        authority=authority,
        base_url=settings.crl_base_url,
        clock=system_clock,
    )
    # At every start: a revocation that was committed just before a crash is listed now at the latest.
    await publisher.publish()
    runtime.readiness.add("crl", publisher.check)
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_EVENTS)
    signing = Signing(
        database=database,
        authority=authority,
        profile=DeviceProfile(
            base_url=settings.crl_base_url,
            lifetime=timedelta(days=settings.certificate_lifetime_days),
        ),
        clock=system_clock,
    )
    revoking = Revoking(database=database, publisher=publisher, clock=system_clock)
    runtime.spawn("crl publisher", publisher.run())
    runtime.spawn("outbox relay", Relay(database, bus).run())
    await bus.answer(events.SignRequest, signing.sign)
    await bus.answer(events.RevokeRequest, revoking.revoke)
    pki = Pki(authority=authority, publisher=publisher, clock=system_clock)
    return create_app(pki=pki, readiness=runtime.readiness)


async def _authority(settings: Settings, database: Database) -> Authority:
    place = Place(
        directory=settings.ca_directory,
        passphrase=settings.ca_key_passphrase.get_secret_value().encode(),
        base_url=settings.crl_base_url,
    )
    try:
        return await open_authority(database, place, system_clock)
    except CaRefused as error:
        print(f"{NAME} cannot start: {error}", file=sys.stderr)  # noqa: T201 -- for the person at the terminal
        sys.exit(EXIT_CONFIG)
