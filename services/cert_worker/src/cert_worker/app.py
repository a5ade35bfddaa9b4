"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, NoReturn

from cert_worker.authority import open_authorities
from cert_worker.ca import CaRefused
from cert_worker.expiry import Expiry
from cert_worker.handlers import retire, transferred
from cert_worker.handlers.authorities import Telling
from cert_worker.handlers.claim import ClaimSigning
from cert_worker.handlers.pki import Pki
from cert_worker.handlers.renew import Renewing
from cert_worker.handlers.revoke import Revoking
from cert_worker.handlers.revoke_issuer import RevokingIssuers
from cert_worker.handlers.sign import Signing
from cert_worker.issuing import Issuing
from cert_worker.key_audit import KeyAudit
from cert_worker.ocsp import Ocsp
from cert_worker.overlap import Overlaps
from cert_worker.prober import Prober
from cert_worker.profiles import profiles_of
from cert_worker.publisher import CrlPublisher
from cert_worker.rolling import answer_rollovers, make_rolling
from cert_worker.root_lists import RootLists
from cert_worker.routes import endpoints
from cert_worker.sealing.start import start_sealing
from cert_worker.signers import Place
from cert_worker.weak_keys import NO_LIST, Blocklist
from pulse_common import events, events_fleet, health, parts
from pulse_common.clock import system_clock
from pulse_common.consume import consume
from pulse_common.errors import Unauthenticated
from pulse_common.http import build_app
from pulse_common.outbox import Relay
from pulse_common.runtime import EXIT_CONFIG

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request

    from cert_worker.authority import Authorities
    from cert_worker.settings import Settings
    from pulse_common.bus import Bus
    from pulse_common.http import Endpoint
    from pulse_common.identity import Principal
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database

NAME = "cert_worker"


async def refuse_everybody(_: Request) -> Principal:
    """Authenticate nobody: this service has no callers over HTTP, only readers."""
    raise Unauthenticated("nobody signs in here")


def create_app(
    *, pki: Pki, readiness: health.Readiness, sealing: Sequence[Endpoint] = ()
) -> Starlette:
    return build_app([*endpoints(pki), *sealing, *health.endpoints(readiness)], refuse_everybody)


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(runtime, settings.database_url, NAME)
    authorities = await _authorities(settings, database)
    publisher = CrlPublisher(
        database=database,
        authorities=authorities,
        base_url=settings.crl_base_url,
        clock=system_clock,
    )
    # At every start: a revocation that was committed just before a crash is listed now at the latest.
    await publisher.follow()
    runtime.readiness.add("crl", publisher.check)
    http = await parts.open_http(runtime)
    prober = Prober(database=database, publisher=publisher, http=http, clock=system_clock)
    runtime.readiness.add("crl as the broker reads it", prober.check)
    runtime.spawn("crl prober", prober.run())
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_EVENTS)
    profiles = profiles_of(settings)
    issuing = Issuing(
        authorities=authorities,
        profiles=profiles,
        clock=system_clock,
        lint_share=settings.lint_share,
        blocklist=_blocklist(settings),
    )
    revoking = Revoking(database=database, publisher=publisher, clock=system_clock)
    runtime.spawn("crl publisher", publisher.run())
    _spawn_watching(runtime, database, authorities, settings)
    runtime.spawn("outbox relay", Relay(database, bus).run())
    await _answer_signing(bus, database, issuing)
    await bus.answer(events.AuthoritiesRequest, Telling(authorities, profiles).authorities_of)
    _retire_replaced(settings, runtime, database, bus, publisher)
    runtime.spawn("transfers", transferred.revoke_for_ever(bus, revoking))
    await bus.answer(events.RevokeRequest, revoking.revoke)
    await bus.answer(events.RevokeCertificatesRequest, revoking.revoke_certificates)
    await bus.answer(events.ReleaseCertificatesRequest, revoking.release_certificates)
    issuers = RevokingIssuers(database=database, authorities=authorities, clock=system_clock)
    await bus.answer(events.RevokeIssuerRequest, issuers.revoke)
    rolling = make_rolling(settings, database, authorities, http)
    await answer_rollovers(rolling, runtime, bus, database, authorities)
    pki = Pki(
        authorities=authorities,
        publisher=publisher,
        root_lists=await _root_lists(settings, runtime, database, authorities),
        ocsp=_responder(runtime, database, authorities),
        clock=system_clock,
    )
    sealing = await start_sealing(settings, runtime, database, bus)
    return create_app(pki=pki, readiness=runtime.readiness, sealing=sealing)


def _retire_replaced(
    settings: Settings, runtime: Runtime, database: Database, bus: Bus, publisher: CrlPublisher
) -> None:
    """End the overlap of a renewed certificate and those before it: at its first use, or after a time."""
    retiring = retire.Retiring(database=database, publisher=publisher, clock=system_clock)
    runtime.spawn("renewals", consume(bus, retire.CONSUMER, retiring.handle))
    overlaps = Overlaps(
        database=database,
        publisher=publisher,
        longest=timedelta(days=settings.renewal_overlap_days),
        clock=system_clock,
    )
    runtime.spawn("overlaps", overlaps.run())


async def _answer_signing(bus: Bus, database: Database, issuing: Issuing) -> None:
    signing = Signing(database=database, issuing=issuing, clock=system_clock)
    await bus.answer(events.SignRequest, signing.sign)
    renewing = Renewing(database=database, issuing=issuing, clock=system_clock)
    await bus.answer(events.RenewRequest, renewing.renew)
    claims = ClaimSigning(database=database, issuing=issuing, clock=system_clock)
    await bus.answer(events_fleet.SignClaimRequest, claims.sign)


def _spawn_watching(
    runtime: Runtime, database: Database, authorities: Authorities, settings: Settings
) -> None:
    """Begin to watch what was issued: its expiry, and its keys."""
    expiry = Expiry(
        database=database,
        authorities=authorities,
        clock=system_clock,
        servers=settings.watched_servers,
    )
    runtime.spawn("expiry warnings", expiry.run())
    keys = KeyAudit(database=database, clock=system_clock, blocklist=_blocklist(settings))
    runtime.spawn("key audit", keys.run())


def _responder(runtime: Runtime, database: Database, authorities: Authorities) -> Ocsp:
    ocsp = Ocsp(database=database, authorities=authorities, clock=system_clock)
    runtime.spawn("ocsp answers ahead", ocsp.run())
    return ocsp


async def _root_lists(
    settings: Settings, runtime: Runtime, database: Database, authorities: Authorities
) -> RootLists:
    found = RootLists(
        database=database,
        authorities=authorities,
        directory=settings.ca_directory,
        clock=system_clock,
    )
    await found.follow()
    runtime.spawn("roots' lists", found.run())
    return found


async def _authorities(settings: Settings, database: Database) -> Authorities:
    try:
        return await open_authorities(database, Place.of(settings))
    except CaRefused as error:
        _refuse_to_start(str(error))


def _blocklist(settings: Settings) -> Blocklist:
    if settings.key_blocklist_file is None:
        return NO_LIST
    try:
        return Blocklist.open(settings.key_blocklist_file)
    except (OSError, ValueError) as error:
        _refuse_to_start(f"KEY_BLOCKLIST_FILE: {error}")


def _refuse_to_start(reason: str) -> NoReturn:
    print(f"{NAME} cannot start: {reason}", file=sys.stderr)  # noqa: T201 -- for the person at the terminal
    sys.exit(EXIT_CONFIG)
