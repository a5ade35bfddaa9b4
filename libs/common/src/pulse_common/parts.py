"""The real parts that most services are wired from: opened, watched by readiness, closed when the service stops."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import httpx2

from pulse_common import isolation
from pulse_common.audit_observe import Observer
from pulse_common.audit_spool import Spool
from pulse_common.auth_audit import AuthAudit
from pulse_common.bus import Bus
from pulse_common.client_address import client_address
from pulse_common.clock import system_clock
from pulse_common.jwt import Jwks, JwtVerifier
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import open_store
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import SecretStr

    from pulse_common.client_address import Network
    from pulse_common.clients import AllowedClients
    from pulse_common.runtime import Runtime
    from pulse_common.settings import ServiceSettings

HTTP_SECONDS = 5.0


async def open_database(
    runtime: Runtime, url: SecretStr, name: str, *, max_connections: int = 10
) -> Database:
    """Open a pool and make sure that the catalogue keeps tenants apart, now and in readiness.

    Raises:
        IsolationError, Unavailable: the service must not start.
    """
    database = Database(url.get_secret_value(), name=name, max_connections=max_connections)
    await database.open()
    runtime.stack.push_async_callback(database.close)
    await watch_isolation(runtime, database, name)
    return database


async def watch_isolation(runtime: Runtime, database: Database, name: str) -> None:
    """Make sure that the catalogue keeps tenants apart, now and for as long as the service runs.

    Raises:
        IsolationError, Unavailable: the service must not start.
    """
    await isolation.require(database)
    watch = isolation.Watch(database)
    runtime.readiness.add(f"database {name}", watch.check)
    runtime.spawn(f"isolation {name}", watch.run())


async def connect_bus(runtime: Runtime, settings: ServiceSettings, service: str) -> Bus:
    """Connect to NATS as this service."""
    bus = await Bus.connect(
        url=settings.nats_url,
        user=settings.nats_user,
        password=settings.nats_password.get_secret_value(),
        service=service,
        replicas=settings.nats_replicas,
    )
    runtime.stack.push_async_callback(bus.close)
    runtime.readiness.add("nats", bus.check)
    return bus


async def open_http(runtime: Runtime) -> httpx2.AsyncClient:
    """Make a client for calls to parts inside; redirects are not followed."""
    client = httpx2.AsyncClient(timeout=HTTP_SECONDS, follow_redirects=False)
    return await runtime.stack.enter_async_context(client)


def token_verifier(
    runtime: Runtime,
    http: httpx2.AsyncClient,
    *,
    issuer: str,
    internal_url: str,
    audience: str,
    clients: AllowedClients,
) -> JwtVerifier:
    """Verify access tokens of ``issuer``, whose keys are fetched from ``internal_url``."""
    jwks = Jwks(oidc_internal_url=internal_url, http=http)
    runtime.stack.push_async_callback(jwks.close)
    return JwtVerifier(issuer=issuer, audience=audience, azp=clients, jwks=jwks)


def open_limiter(runtime: Runtime, url: SecretStr, trusted: tuple[Network, ...]) -> Limiter:
    """Count requests in the store that ``url`` names, by the address that ``trusted`` proxies tell."""
    address_of = partial(client_address, trusted=trusted)
    return Limiter(open_store(runtime, url), address_of=address_of)


def open_auth_audit(
    runtime: Runtime, database: Database, trusted: tuple[Network, ...]
) -> AuthAudit:
    """Record refused credentials, and their summaries for as long as the service runs."""
    auth_audit = AuthAudit(database, address_of=partial(client_address, trusted=trusted))
    runtime.spawn("refused credentials", auth_audit.run())
    return auth_audit


def open_observer(runtime: Runtime, database: Database, folder: Path) -> Observer:
    """Record views and the like through a spool below ``folder``, which outlives the process.

    Raises:
        OSError: the folder cannot be written.
    """
    spool = Spool.open(folder)
    runtime.stack.callback(spool.close)
    observer = Observer(database, spool, clock=system_clock)
    runtime.spawn("observed events", observer.run())
    return observer
