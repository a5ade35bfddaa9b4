"""The service over ASGI with a real database and bus, a browser for it, and the parts a test may look at or move."""

from __future__ import annotations

import re
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx2
from pydantic import SecretStr
from services.ui_iot.tests.provider import FakeProvider
from services.ui_iot.tests.realm import FakeRealm
from tests.parts import PASSWORD

from pulse_common.auth_audit import AuthAudit
from pulse_common.bus import Bus
from pulse_common.client_address import client_address, parse_networks
from pulse_common.health import Readiness
from pulse_common.ids import new_id
from pulse_common.jwt import JwtVerifier
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.tenancy import Database
from pulse_common.testing import tokens
from ui_iot import cookies
from ui_iot.app import create_app
from ui_iot.directory import Directory, open_directory
from ui_iot.limits import Rates
from ui_iot.live import Hub
from ui_iot.notices import Notices
from ui_iot.oidc import IdentityProvider
from ui_iot.sealing import Sealer
from ui_iot.socket import Pace
from ui_iot.wiring.made import Parts

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from starlette.types import ASGIApp
    from tests.parts import Nats, Postgres

    from pulse_common.clock import Clock

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PUBLIC_URL = "https://pulse.example"
INTERNAL_URL = "http://idp.internal/realms/pulse"
KEY = b"k" * 32
HTML = {"accept": "text/html"}
PROXIES = parse_networks("127.0.0.1")
HURRIED = Pace(subscribe_seconds=0.3, check_session_seconds=0.1)
PLENTY = Rates(
    auth_per_minute=10_000,
    live_per_minute=10_000,
    api_per_minute=10_000,
    pages_per_minute=10_000,
    tenant_per_minute=100_000,
)
ISSUER = tokens.Issuer(NOW)
"""One key for all tests: making one is slow."""


def real_provider(http: httpx2.AsyncClient, step_up_acr: str = "") -> IdentityProvider:
    return IdentityProvider(
        http=http,
        issuer=tokens.ISSUER,
        internal_url=INTERNAL_URL,
        client_id=tokens.CLIENT,
        client_secret=SecretStr("s:cret/" + "s" * 32),
        redirect_uri=f"{PUBLIC_URL}/auth/callback",
        after_logout_uri=f"{PUBLIC_URL}/",
        step_up_acr=step_up_acr,
    )


def real_directory(http: httpx2.AsyncClient, clock: Clock) -> Directory:
    return open_directory(
        http=http,
        internal_url=INTERNAL_URL,
        client_id="pulse-ui-admin",
        secret=SecretStr("a" * 32),
        invite_to=tokens.CLIENT,
        clock=clock,
    )


class Browser(httpx2.AsyncClient):
    """Keeps cookies, asks for pages, and knows the CSRF token of the last page that had one."""

    csrf = ""

    async def page(self, path: str) -> httpx2.Response:
        response = await self.get(path, headers=HTML)
        found = re.search(r'name="csrf-token" content="([^"]+)"', response.text)
        self.csrf = found.group(1) if found else self.csrf
        return response

    async def submit(self, path: str, **fields: str) -> httpx2.Response:
        """Send a form of one of our own pages."""
        headers = {"origin": PUBLIC_URL, "sec-fetch-site": "same-origin", **HTML}
        return await self.post(path, data={"csrf_token": self.csrf, **fields}, headers=headers)

    @property
    def session(self) -> str:
        return str(self.cookies[cookies.SESSION])


@dataclass
class Rig:
    db: Database
    bus: Bus
    provider: FakeProvider
    realm: FakeRealm
    hub: Hub
    app: ASGIApp
    superuser: psycopg.Connection
    now: datetime = NOW
    browsers: list[Browser] = field(default_factory=list)

    def clock(self) -> datetime:
        return self.now

    def pass_time(self, **spans: float) -> None:
        self.now += timedelta(**spans)

    def browser(self, **headers: str) -> Browser:
        """Open another browser, with cookies of its own."""
        # A bug's answer is looked at here, not its traceback.
        transport = httpx2.ASGITransport(self.app, raise_app_exceptions=False)
        browser = Browser(transport=transport, base_url=PUBLIC_URL, headers=headers)
        self.browsers.append(browser)
        return browser

    async def close_browsers(self) -> None:
        for browser in self.browsers:
            await browser.aclose()

    async def log_in(self, browser: Browser, **claims: object) -> Browser:
        """Log somebody in (an administrator unless ``claims`` say otherwise)."""
        begun = await browser.page("/auth/login")
        query = self.provider.approve(begun.headers["location"], claims)
        finished = await browser.page(f"/auth/callback?{query}")
        assert finished.status_code == 200, finished.text
        return browser

    async def person(self, tenant: UUID, role: str = "tenant-admin") -> Browser:
        """Return a signed-in browser that has just read the list of devices."""
        browser = await self.log_in(self.browser(), **claims_of(tenant, role))
        await browser.page("/devices")
        return browser

    def bearer(self, tenant: UUID, role: str = "tenant-admin") -> dict[str, str]:
        token = ISSUER.token(**claims_of(tenant, role))
        return {"authorization": f"Bearer {token}"}

    def tenant(self, name: str = "Acme") -> UUID:
        tenant = uuid4()
        self.superuser.execute(
            "INSERT INTO tenants (tenant_id, name) VALUES (%s, %s)", [tenant, name]
        )
        return tenant

    def device(self, tenant: UUID, name: str = "Lamp") -> UUID:
        device = new_id()
        self.superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, %s)",
            [tenant, device, name],
        )
        return device

    def acts(self, subject: object) -> list[tuple[str, str, str | None]]:
        """Return what the audit log says of a person's sessions, oldest first: action, actor kind, reason."""
        found = self.superuser.execute(
            "SELECT action, actor_kind, reason FROM audit_log WHERE object_kind = 'session'"
            " AND (actor_id = %(subject)s OR details ->> 'subject' = %(subject)s) ORDER BY at, audit_id",
            {"subject": str(subject)},
        ).fetchall()
        return [(str(row[0]), str(row[1]), row[2]) for row in found]

    def sessions(self, subject: object) -> int:
        row = self.superuser.execute(
            "SELECT count(*) FROM web_sessions WHERE subject = %s", [str(subject)]
        ).fetchone()
        assert row is not None
        return int(row[0])


def claims_of(tenant: UUID, role: str) -> dict[str, object]:
    return {
        "tenant_id": str(tenant),
        "realm_access": {"roles": [role]},
        "sub": str(uuid4()),
        "sid": str(uuid4()),
    }


@asynccontextmanager
async def open_rig(
    postgres: Postgres,
    nats: Nats,
    superuser: psycopg.Connection,
    *,
    keys: list[bytes] | None = None,
    rates: Rates = PLENTY,
    pace: Pace = HURRIED,
    verifier: JwtVerifier | None = None,
    step_up_acr: str = "",
    rate_store: BoundedMemory | None = None,
) -> AsyncIterator[Rig]:
    """Open the service; ``verifier`` may be one of another identity provider than the tests' own."""

    def clock() -> datetime:
        return rig.now

    provider, realm = FakeProvider(clock, ISSUER), FakeRealm()
    async with AsyncExitStack() as stack:
        database = Database(postgres.url("svc_ui_iot"), name="test")
        await database.open()
        stack.push_async_callback(database.close)
        bus = await Bus.connect(url=nats.url, user="test", password=PASSWORD, service="ui_iot")
        stack.push_async_callback(bus.close)
        hub = Hub(bus, clock)
        await hub.start()
        notices = Notices(bus)
        await notices.start()
        address_of = partial(client_address, trusted=PROXIES)
        transport = httpx2.MockTransport(provider.answer)
        http = await stack.enter_async_context(httpx2.AsyncClient(transport=transport))
        admin_transport = httpx2.MockTransport(realm.answer)
        admin_http = await stack.enter_async_context(httpx2.AsyncClient(transport=admin_transport))
        operators = Database(postgres.url("svc_ui_iot_operator"), name="test operators")
        await operators.open()
        stack.push_async_callback(operators.close)
        parts = Parts(
            db=database,
            operator_db=operators,
            bus=bus,
            clock=clock,
            verifier=verifier
            or JwtVerifier(
                issuer=tokens.ISSUER,
                audience=tokens.AUDIENCE,
                azp=[tokens.CLIENT],
                jwks=ISSUER.keys(),
                clock=clock,
            ),
            provider=real_provider(http, step_up_acr),
            directory=real_directory(admin_http, clock),
            sealer=Sealer(keys or [KEY]),
            hub=hub,
            public_url=PUBLIC_URL,
            readiness=Readiness(),
            notices=notices,
            limiter=Limiter(rate_store or BoundedMemory(), address_of=address_of),
            on_refused=AuthAudit(database, address_of=address_of).refused,
            trusted_proxies=PROXIES,
            rates=rates,
            live_views_per_person=3,
            pace=pace,
        )
        rig = Rig(database, bus, provider, realm, hub, create_app(parts), superuser)
        stack.push_async_callback(rig.close_browsers)
        yield rig
