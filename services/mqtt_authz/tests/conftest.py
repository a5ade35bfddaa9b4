"""What the tests of this service share: certificates of a throw-away CA, devices in the database, the gate."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from prometheus_client import REGISTRY
from services.mqtt_authz.tests.revocation_world import World

from mqtt_authz import store, token_store, tokens
from mqtt_authz.denials import Denials
from mqtt_authz.handlers import Gate
from mqtt_authz.routes import endpoints
from mqtt_authz.secrets import SharedSecret
from mqtt_authz.standings import Standings
from mqtt_authz.token_door import TokenDoor
from pulse_common.clock import system_clock
from pulse_common.health import Readiness
from pulse_common.http import build_app
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    import psycopg
    from conftest import Postgres
    from starlette.applications import Starlette

    from mqtt_authz.domain import Standing, Whose
    from mqtt_authz.tokens import TokenStanding

SECRET = "the-broker-shows-this-secret-of-40-chars"
ADMIN_PASSWORD = "the-services-show-this-password-instead"
SHARED = Path(__file__).parents[4] / "shared"
KEY = ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True, kw_only=True)
class Names:
    """What to write into a certificate; each default is what our CA would write."""

    tenant: UUID = field(default_factory=uuid4)
    device: UUID = field(default_factory=uuid4)
    common_names: list[str] | None = None
    organizations: list[str] | None = None
    san: list[x509.GeneralName] | None = None
    starts: timedelta = timedelta(hours=-1)
    ends: timedelta = timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class Enrolled:
    tenant: TenantId
    device: UUID
    certificate: UUID
    der: bytes
    not_after: datetime

    @property
    def serial_number(self) -> str:
        return f"{x509.load_der_x509_certificate(self.der).serial_number:x}"


Issue = Callable[[Names], bytes]
Enrol = Callable[..., Enrolled]
Ask = Callable[..., Any]


def issue(names: Names) -> bytes:
    """Sign a certificate; its DER."""
    tenant, device = names.tenant, names.device
    uri = x509.UniformResourceIdentifier(f"urn:pulse:tenant:{tenant}:device:{device}")
    subject = [
        *(
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, o)
            for o in (names.organizations if names.organizations is not None else [str(tenant)])
        ),
        *(
            x509.NameAttribute(NameOID.COMMON_NAME, cn)
            for cn in (names.common_names if names.common_names is not None else [str(device)])
        ),
    ]
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name(subject))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test CA")]))
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(system_clock() + names.starts)
        .not_valid_after(system_clock() + names.ends)
    )
    san = [uri] if names.san is None else names.san
    if san:
        builder = builder.add_extension(x509.SubjectAlternativeName(san), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


@pytest.fixture(scope="session")
def issuer(postgres: Postgres) -> UUID:
    import psycopg  # noqa: PLC0415 -- only where a database is wanted

    issuer_id = uuid4()
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO issuers (issuer_id, kind, profile, subject, certificate_der, fingerprint_sha256, not_before,"
            " not_after) VALUES (%s, 'issuing', 'device', 'Test CA', '', %s, now(), now() + interval '1 year')",
            [issuer_id, hashlib.sha256(issuer_id.bytes).digest()],
        )
    return issuer_id


def set_issuers(superuser: psycopg.Connection, status: str) -> None:
    """Change what every issuer is worth; the tests of a session share one."""
    superuser.execute(
        "UPDATE issuers SET status = %(status)s,"
        " revoked_at = CASE WHEN %(status)s = 'revoked' THEN now() END,"
        " revocation_reason = CASE WHEN %(status)s = 'revoked' THEN 'cACompromise' END",
        {"status": status},
    )


@pytest.fixture
def enrol(superuser: psycopg.Connection, issuer: UUID) -> Enrol:
    """Make a tenant and a device unless they are there, and give the device a certificate."""

    def make(tenant: UUID | None = None, device: UUID | None = None) -> Enrolled:
        names = Names(tenant=tenant or uuid4(), device=device or uuid4())
        superuser.execute(
            "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T') ON CONFLICT DO NOTHING",
            [names.tenant],
        )
        superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'D') ON CONFLICT DO NOTHING",
            [names.tenant, names.device],
        )
        der = issue(names)
        certificate, certificate_id = x509.load_der_x509_certificate(der), uuid4()
        superuser.execute(
            "INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number,"
            " fingerprint_sha256, public_key_sha256, certificate_der, not_before, not_after)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                *(names.tenant, certificate_id, names.device, issuer),
                *(f"{certificate.serial_number:x}", hashlib.sha256(der).digest()),
                *(hashlib.sha256(b"key").digest(), der),
                *(certificate.not_valid_before_utc, certificate.not_valid_after_utc),
            ],
        )
        return Enrolled(
            tenant=TenantId(names.tenant),
            device=names.device,
            certificate=certificate_id,
            der=der,
            not_after=certificate.not_valid_after_utc,
        )

    return make


@dataclass(frozen=True, kw_only=True)
class Held:
    tenant: UUID
    device: UUID
    token: UUID
    text: str

    def body(self, **changes: str) -> dict[str, str]:
        """An authentication request as EMQX sends it from the listener without certificates."""
        return {
            "zone": "device_token",
            "username": f"{self.tenant}/{self.device}",
            "clientid": str(self.device),
            "password": self.text,
            "peerhost": "192.0.2.7",
            "cert_common_name": "",
            "cert_subject": "",
            "cert_pem": "",
        } | changes


Mint = Callable[[], Held]


@pytest.fixture
def mint(superuser: psycopg.Connection) -> Mint:
    def make() -> Held:
        text = tokens.PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip(
            "="
        )
        held = Held(tenant=uuid4(), device=uuid4(), token=uuid4(), text=text)
        superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [held.tenant])
        superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name, tokens_allowed) VALUES (%s, %s, 'D', true)",
            [held.tenant, held.device],
        )
        superuser.execute(
            "INSERT INTO device_tokens (tenant_id, token_id, device_id, token_hash, created_at, created_by, expires_at)"
            " VALUES (%s, %s, %s, %s, now(), 'alice', now() + interval '1 day')",
            [held.tenant, held.token, held.device, hashlib.sha256(text.encode()).digest()],
        )
        return held

    return make


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    opened = Database(postgres.url("svc_mqtt_authz"), name="test", max_connections=4)
    await opened.open()
    yield opened
    await opened.close()


def make_gate(
    database: Database,
    hearing: Callable[[], int | None] = lambda: None,
    on_admitted: Callable[[Whose, str], None] | None = None,
) -> Gate:
    """Make a gate that remembers nobody, unless ``hearing`` says that it hears."""

    async def load(fingerprints: Sequence[bytes]) -> dict[bytes, Standing]:
        async with database.service_connection("pulse_authz") as tx:
            return await store.find_standings(tx, fingerprints)

    async def find_token(digest: bytes) -> TokenStanding | None:
        async with database.service_connection("pulse_authz") as tx:
            return await token_store.find_standing(tx, digest)

    denials = Denials(database=database, clock=system_clock)
    return Gate(
        standings=Standings(load=load, hearing=hearing),
        token_door=TokenDoor(find=find_token, denials=denials, clock=system_clock),
        denials=denials,
        admin_password=ADMIN_PASSWORD.encode(),
        clock=system_clock,
        on_admitted=on_admitted,
    )


def build_gate(gate: Gate) -> Starlette:
    secret = SharedSecret(current=SECRET.encode(), previous=None)
    return build_app(endpoints(gate, Readiness()), secret.authenticate)


@dataclass(frozen=True)
class Broker:
    """Asks the gate as EMQX does, and checks of each answer what EMQX insists on."""

    client: httpx2.AsyncClient
    gate: Gate

    async def ask(self, question: str, body: object) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        response = await self.client.post(
            f"/api/v1/internal/{question}",
            content=content,
            headers={"authorization": f"Bearer {SECRET}", "content-type": "application/json"},
        )

        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        answer: dict[str, Any] = response.json()
        check_answer(answer)
        return answer


def check_answer(answer: dict[str, Any]) -> None:
    """Refuse what EMQX 5.8.9 would refuse (contract: "Authentication answer")."""
    assert answer["result"] in {"allow", "deny"}
    if answer["result"] == "deny":
        assert answer == {"result": "deny"}
    assert answer.get("is_superuser", False) is False
    assert all(isinstance(value, str) for value in answer.get("client_attrs", {}).values())
    if "expire_at" in answer:
        assert type(answer["expire_at"]) is int
        assert datetime.now(UTC).timestamp() < answer["expire_at"] < 10**11  # noqa: TID251 -- EMQX's own clock
    for rule in answer.get("acl", []):
        assert rule.keys() <= {"permission", "action", "topic", "retain"}
        assert rule["permission"] in {"allow", "deny"}
        assert rule["action"] in {"publish", "subscribe", "all"}
        assert isinstance(rule["topic"], str)
        assert "$" not in rule["topic"]  # nothing that EMQX would expand
        assert rule.get("retain", "all") in {True, False, "all"}
    if "acl" in answer:
        assert answer["acl"][-1] == {"permission": "deny", "action": "all", "topic": "#"}


def body_for(enrolled: Enrolled, **changes: str) -> dict[str, str]:
    """An authentication request as EMQX sends it for a device on the mutual TLS listener."""
    return {
        "zone": "mqtts",
        "username": str(enrolled.device),
        "clientid": str(enrolled.device),
        "password": "",
        "peerhost": "127.0.0.1",
        "cert_common_name": str(enrolled.device),
        "cert_subject": f"CN={enrolled.device},O={enrolled.tenant}",
        "cert_pem": base64.b64encode(enrolled.der).decode(),
    } | changes


def counted(question: str, reason: str) -> float:
    labels = {"question": question, "reason": reason}
    return REGISTRY.get_sample_value("pulse_mqtt_decisions_total", labels) or 0.0


@contextlib.asynccontextmanager
async def asking(gate: Gate) -> AsyncIterator[Broker]:
    transport = httpx2.ASGITransport(build_gate(gate))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
        yield Broker(client, gate)


@pytest.fixture
async def broker(database: Database) -> AsyncIterator[Broker]:
    async with asking(make_gate(database)) as opened:
        yield opened


@pytest.fixture
def world(database: Database, superuser: psycopg.Connection) -> World:
    return World(database, superuser)
