"""EST's doors: who is let in, what is asked of the CA in their name, and the forms of the answers."""

from __future__ import annotations

import base64
import hashlib
import re
import subprocess
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import AttributeOID
from hypothesis import given
from hypothesis import strategies as st
from tests.parts import PASSWORD

from provision_api import est, shapes
from provision_api.app import Doors, create_app
from provision_api.callers import Callers
from provision_api.enrolment import Enrolment
from provision_api.handlers import Provisioning
from provision_api.renaming import Renaming
from provision_api.routes import Rates
from pulse_common import events, events_rollover
from pulse_common.auth_audit import AuthAudit
from pulse_common.bus import Bus
from pulse_common.clock import system_clock
from pulse_common.errors import Malformed, Unavailable
from pulse_common.health import Readiness
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Nats, Postgres

    from pulse_common.client_address import Network

pytestmark = pytest.mark.anyio

KEY = ec.generate_private_key(ec.SECP256R1())
CSR = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, hashes.SHA256())
BODY = base64.encodebytes(CSR.public_bytes(Encoding.DER))
PKCS10 = {"content-type": "application/pkcs10"}


def certificate(tenant: UUID, device: UUID) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, str(tenant)),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, str(device)),
        ]
    )
    now = system_clock()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(KEY.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(KEY, hashes.SHA256())
    )


@dataclass
class Ca:
    """Answers with one certificate, whoever asks, or refuses."""

    reply: events.SignReply
    refusal: Exception | None = None
    key_types: frozenset[str] = frozenset()
    renewals: list[events.RenewRequest] = field(default_factory=list)
    reports: list[events_rollover.TrustRequest] = field(default_factory=list)

    async def renew(self, request: events.RenewRequest) -> events.SignReply:
        self.renewals.append(request)
        if self.refusal is not None:
            raise self.refusal
        return self.reply

    async def trust(self, request: events_rollover.TrustRequest) -> events_rollover.TrustReply:
        self.reports.append(request)
        return events_rollover.TrustReply(authorities_pem=self.reply.chain_pem, renew_in_seconds=60)

    async def authorities(self, _: events.AuthoritiesRequest) -> events.AuthoritiesReply:
        if self.refusal is not None:
            raise self.refusal
        return events.AuthoritiesReply(chain_pem=self.reply.chain_pem, key_types=self.key_types)


@dataclass(frozen=True, kw_only=True)
class Rig:
    http: httpx2.AsyncClient
    ca: Ca
    tenant: UUID
    device: UUID
    shown: dict[str, str]

    async def reenrol(self, headers: dict[str, str], label: str = "device") -> httpx2.Response:
        path = f"/.well-known/est/{label}/simplereenroll"
        return await self.http.post(path, content=BODY, headers=PKCS10 | headers)


def store_device(superuser: psycopg.Connection, found: x509.Certificate, ids: list[UUID]) -> None:
    tenant, device = ids
    issuer = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'D')", [tenant, device]
    )
    superuser.execute(
        "INSERT INTO issuers (issuer_id, kind, status, subject, certificate_der, fingerprint_sha256, not_before,"
        " not_after) VALUES (%s, 'issuing', 'standby', 'CA', '', %s, now(), now())",
        [issuer, hashlib.sha256(issuer.bytes).digest()],
    )
    superuser.execute(
        "INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,"
        " public_key_sha256, certificate_der, not_before, not_after)"
        " VALUES (%s, %s, %s, %s, %s, %s, sha256(''), '', %s, %s)",
        [
            *(tenant, uuid4(), device, issuer, f"{found.serial_number:x}"),
            found.fingerprint(hashes.SHA256()),
            *(found.not_valid_before_utc, found.not_valid_after_utc),
        ],
    )


@pytest.fixture
def proxies() -> tuple[Network, ...]:
    return (ip_network("127.0.0.1/32"),)


@pytest.fixture
async def rig(
    postgres: Postgres,
    nats_server: Nats,
    superuser: psycopg.Connection,
    proxies: tuple[Network, ...],
) -> AsyncIterator[Rig]:
    tenant, device = uuid4(), uuid4()
    present = certificate(tenant, device)
    store_device(superuser, present, [tenant, device])
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    bus = await Bus.connect(url=nats_server.url, user="test", password=PASSWORD, service="p")
    pem = present.public_bytes(Encoding.PEM).decode()
    now = system_clock()
    ca = Ca(
        events.SignReply(
            certificate_id=uuid4(),
            certificate_pem=pem,
            chain_pem=pem,
            serial_number="0a",
            not_before=now,
            not_after=now,
        )
    )
    await bus.answer(events.RenewRequest, ca.renew)
    await bus.answer(events_rollover.TrustRequest, ca.trust)
    await bus.answer(events.AuthoritiesRequest, ca.authorities)
    provisioning = Provisioning(
        Enrolment(database, bus, system_clock),
        Renaming(db=database, clock=system_clock),
        FakeVerifier({}),
        shapes.Broker(host="broker.example", port=8883, ca_certificates="ca"),
        AuthAudit(database, address_of=lambda _: None).refused_call,
        certificate_proxies=proxies,
    )
    doors = Doors(
        callers=Callers(b"k" * 32, FakeVerifier({})),
        rates=Rates(enrol_per_minute=1000),
        limiter=Limiter(BoundedMemory(), address_of=lambda _: "192.0.2.1"),
        on_refused=AuthAudit(database, address_of=lambda _: None).refused,
    )
    transport = httpx2.ASGITransport(create_app(provisioning, doors, Readiness()))
    der = base64.b64encode(present.public_bytes(Encoding.DER)).decode()
    async with httpx2.AsyncClient(transport=transport, base_url="https://test") as http:
        shown = {"x-pulse-client-certificate": der}
        yield Rig(http=http, ca=ca, tenant=tenant, device=device, shown=shown)
    await bus.close()
    await database.close()


async def test_device_that_shows_its_certificate_gets_the_next_one(rig: Rig) -> None:
    answer = await rig.reenrol(rig.shown)

    assert answer.status_code == 200
    assert answer.headers["content-type"] == est.CERTS_ONLY
    (found,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(answer.content))
    assert found.fingerprint(hashes.SHA256()).hex() == rig.ca.renewals[0].fingerprint
    (asked,) = rig.ca.renewals
    assert (asked.tenant_id, asked.device_id) == (rig.tenant, rig.device)
    assert asked.csr_pem.encode() == CSR.public_bytes(Encoding.PEM)


async def test_json_door_renews_too(rig: Rig) -> None:
    csr = CSR.public_bytes(Encoding.PEM).decode()

    answer = await rig.http.post("/api/v1/provision/renew", json={"csr": csr}, headers=rig.shown)

    assert answer.status_code == 201
    assert answer.json()["device_id"] == str(rig.device)
    assert answer.json()["mqtt"]["port"] == 8883


@pytest.mark.parametrize("proxies", [(), (ip_network("10.0.0.0/8"),)])
async def test_nobody_but_the_edge_says_which_certificate_was_shown(rig: Rig) -> None:
    answer = await rig.reenrol(rig.shown)

    assert answer.status_code == 401
    assert rig.ca.renewals == []


@pytest.mark.parametrize(
    "change",
    [
        "status = 'revoked', revoked_at = now(), revocation_reason = 'keyCompromise'",
        "status = 'held', revoked_at = now(), revocation_reason = 'certificateHold'",
        "not_after = now() - interval '1 second'",
        "fingerprint_sha256 = sha256(fingerprint_sha256)",
    ],
)
async def test_certificate_that_does_not_count_leaves_no_trace(
    rig: Rig, superuser: psycopg.Connection, change: str
) -> None:
    superuser.execute(
        f"UPDATE certificates SET {change} WHERE device_id = %s".encode(),  # noqa: S608 -- our own words
        [rig.device],
    )

    answer = await rig.reenrol(rig.shown)

    assert (answer.status_code, rig.ca.renewals) == (401, [])
    rows = superuser.execute("SELECT FROM audit_log WHERE tenant_id = %s", [rig.tenant]).fetchall()
    assert rows == []


async def test_certificate_of_a_version_that_is_none_is_refused(rig: Rig) -> None:
    der = base64.b64decode(rig.shown["x-pulse-client-certificate"])
    seventh = der.replace(bytes.fromhex("a003020102"), bytes.fromhex("a003020107"), 1)
    assert seventh != der

    answer = await rig.reenrol({"x-pulse-client-certificate": base64.b64encode(seventh).decode()})

    assert answer.status_code == 401


@pytest.mark.parametrize("header", ["", "x", "AAAA", "é"])
async def test_header_that_is_no_certificate_is_refused(rig: Rig, header: str) -> None:
    answer = await rig.http.post(
        "/.well-known/est/device/simplereenroll",
        content=BODY,
        headers={
            b"content-type": b"application/pkcs10",
            b"x-pulse-client-certificate": header.encode(),
        },
    )

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic")


async def test_certificate_of_another_profile_is_not_renewed_here(rig: Rig) -> None:
    assert (await rig.reenrol(rig.shown, label="meter")).status_code == 404
    assert rig.ca.renewals == []


async def test_client_is_told_when_to_come_back(rig: Rig) -> None:
    rig.ca.refusal = Unavailable("away")

    answer = await rig.reenrol(rig.shown)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


@pytest.mark.parametrize(
    ("key_types", "wanted"),
    [
        ({"RSA", "P-384", "P-256"}, ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"]),
        ({"P-384", "Ed25519"}, ["id-ecPublicKey", "secp384r1", "ecdsa-with-SHA384"]),
        ({"Ed25519", "RSA"}, ["ED25519"]),
        ({"RSA"}, ["rsaEncryption", "0800", "sha256WithRSAEncryption"]),
        (set(), ["id-ecPublicKey", "prime256v1", "ecdsa-with-SHA256"]),
    ],
)
async def test_client_is_asked_for_a_key_that_the_profile_takes(
    rig: Rig, key_types: set[str], wanted: list[str]
) -> None:
    rig.ca.key_types = frozenset(key_types)

    answer = await rig.http.get("/.well-known/est/device/csrattrs")

    assert answer.headers["content-type"] == "application/csrattrs"
    shown = subprocess.run(
        ["openssl", "asn1parse", "-inform", "DER"],
        input=base64.b64decode(answer.content),
        capture_output=True,
        check=True,
    )
    values = re.findall(r"prim: (?:OBJECT|INTEGER) +:(\S+)", shown.stdout.decode())
    assert values == wanted


async def test_attributes_are_of_a_label_that_is_there_and_wait_for_the_ca(rig: Rig) -> None:
    nobody = await rig.http.get(f"/.well-known/est/{rig.tenant}.nothing/csrattrs")
    rig.ca.refusal = Unavailable("away")
    later = await rig.http.get("/.well-known/est/device/csrattrs")

    assert nobody.status_code == 404
    assert (later.status_code, later.headers["retry-after"]) == (503, "30")


def test_request_with_a_challenge_of_the_clients_is_read() -> None:
    """TLS ends at the edge, so what RFC 7030 section 3.5 would tie to it ties to nothing here and is left unread."""
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"dGxzLXVuaXF1ZQ==")
        .sign(KEY, hashes.SHA256())
    )

    read = est.read_request(base64.encodebytes(request.public_bytes(Encoding.DER)))

    assert x509.load_pem_x509_csr(read.encode()) == request


@given(st.binary(max_size=200))
def test_body_is_a_request_or_refused(body: bytes) -> None:
    with pytest.raises(Malformed):
        est.read_request(body)


@pytest.mark.parametrize("operation", ["fullcmc", "serverkeygen"])
async def test_operations_that_are_optional_are_said_to_be_absent(rig: Rig, operation: str) -> None:
    answer = await rig.http.post(f"/.well-known/est/device/{operation}", content=BODY)

    assert answer.status_code == 501
    assert answer.json()["type"] == "urn:pulse:problem:not_offered"


@pytest.mark.parametrize("label", ["{tenant}.nothing", "11111111-1111-4111-8111-11111111111a.a"])
async def test_label_of_no_enrolment_profile_is_not_there(rig: Rig, label: str) -> None:
    path = f"/.well-known/est/{label.format(tenant=rig.tenant)}"

    known = await rig.http.get(f"{path}/cacerts")
    renewed = await rig.http.post(
        f"{path}/simplereenroll", content=BODY, headers=PKCS10 | rig.shown
    )

    assert (known.status_code, renewed.status_code) == (404, 404)


async def test_device_says_over_https_what_it_trusts(rig: Rig) -> None:
    body = {"held": ["0a" * 32]}

    answer = await rig.http.post("/api/v1/provision/trust", json=body, headers=rig.shown)

    assert answer.status_code == 200
    assert answer.json()["renew_in_seconds"] == 60
    assert "BEGIN CERTIFICATE" in answer.json()["authorities"]
    (report,) = rig.ca.reports
    assert (report.tenant_id, report.device_id) == (rig.tenant, rig.device)
    assert report.held == ("0a" * 32,)


@pytest.mark.parametrize("held", [["ABC"], ["0a" * 32] * 65, "0a" * 32])
async def test_report_of_anything_else_is_malformed(rig: Rig, held: object) -> None:
    answer = await rig.http.post("/api/v1/provision/trust", json={"held": held}, headers=rig.shown)

    assert (answer.status_code, rig.ca.reports) == (400, [])


async def test_stranger_reports_nothing(rig: Rig) -> None:
    answer = await rig.http.post("/api/v1/provision/trust", json={"held": []})

    assert (answer.status_code, rig.ca.reports) == (401, [])


USED = "SELECT count(*) FROM outbox WHERE tenant_id = %s AND subject = %s"


@pytest.mark.parametrize("door", ["cacerts", "trust", "simplereenroll"])
async def test_first_use_of_a_renewed_certificate_is_told_of_at_each_door(
    rig: Rig, superuser: psycopg.Connection, door: str
) -> None:
    superuser.execute("UPDATE certificates SET renewal = true WHERE device_id = %s", [rig.device])

    match door:
        case "cacerts":
            answer = await rig.http.get("/.well-known/est/device/cacerts", headers=rig.shown)
        case "trust":
            url = "/api/v1/provision/trust"
            answer = await rig.http.post(url, json={"held": []}, headers=rig.shown)
        case _:
            answer = await rig.reenrol(rig.shown)

    assert answer.status_code == 200
    told = superuser.execute(USED, [rig.tenant, events.CertificateUsed.subject]).fetchone()
    assert told == (1,)


@pytest.mark.parametrize("proxies", [()])
async def test_use_that_the_edge_did_not_see_counts_for_nothing(
    rig: Rig, superuser: psycopg.Connection
) -> None:
    superuser.execute("UPDATE certificates SET renewal = true WHERE device_id = %s", [rig.device])

    answer = await rig.http.get("/.well-known/est/device/cacerts", headers=rig.shown)

    assert answer.status_code == 200
    told = superuser.execute(USED, [rig.tenant, events.CertificateUsed.subject]).fetchone()
    assert told == (0,)


async def test_certificate_that_renewed_nothing_is_told_of_by_nobody(
    rig: Rig, superuser: psycopg.Connection
) -> None:
    await rig.reenrol(rig.shown)

    told = superuser.execute(USED, [rig.tenant, events.CertificateUsed.subject]).fetchone()
    assert told == (0,)


async def test_label_left_out_is_the_profile_of_devices(rig: Rig) -> None:
    path = "/.well-known/est/simplereenroll"

    answer = await rig.http.post(path, content=BODY, headers=PKCS10 | rig.shown)

    assert answer.status_code == 200
    assert len(rig.ca.renewals) == 1
