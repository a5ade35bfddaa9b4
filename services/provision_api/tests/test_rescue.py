"""An expired device gets in again only by an approval, in its time, for the same key, and never after a cut."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from provision_api import shapes
from provision_api.administrators import Administrators
from provision_api.enrolment import Caller
from provision_api.rescue import Rescue
from provision_api.rescue_door import RescueDoor
from pulse_common import events
from pulse_common.auth_audit import AuthAudit
from pulse_common.errors import (
    AppError,
    Conflict,
    Forbidden,
    NotFound,
    Unauthenticated,
    Unavailable,
)
from pulse_common.events_rescue import CloseRescueRequest, OpenRescueRequest
from pulse_common.http import Open, build_app, nobody
from pulse_common.identity import Principal, TenantId
from pulse_common.ratelimit import Limit, Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 6, 1, tzinfo=UTC)
PATH = "/api/v1/provision/rescue"
LIMIT = Limit(name="t", amount=1000, seconds=60, per="address", when_store_is_down="allow")
ALICE = Caller(kind="user", id="alice")


@dataclass
class FakeCa:
    """Answers renewals as cert_worker would, or refuses them."""

    asked: list[events.RenewRequest] = field(default_factory=list)
    refusal: AppError | None = None

    async def call(self, request: events.RenewRequest, _: object, *, seconds: float) -> object:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        return events.SignReply(
            certificate_id=uuid4(),
            certificate_pem="certificate",
            chain_pem="chain",
            serial_number="0b",
            not_before=NOW,
            not_after=NOW + timedelta(days=90),
        )


@dataclass
class Expired:
    """A device with a certificate that expired yesterday."""

    tenant: TenantId
    device: UUID
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    certificate_id: UUID

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def csr(self, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


@dataclass
class Rig:
    door: RescueDoor
    ca: FakeCa
    http: httpx2.AsyncClient
    rows: psycopg.Connection
    people: dict[str, Principal]
    now: datetime = NOW

    def expired(self, ended: timedelta = timedelta(days=1)) -> Expired:
        tenant, device, certificate_id = TenantId(uuid4()), uuid4(), uuid4()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue(tenant, device, key, NOW - ended)
        self.rows.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Acme')", [tenant])
        self.rows.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'lamp')",
            [tenant, device],
        )
        self.keep(tenant, device, certificate, certificate_id)
        return Expired(tenant, device, key, certificate, certificate_id)

    def keep(
        self,
        tenant: UUID,
        device: UUID,
        certificate: x509.Certificate,
        certificate_id: UUID,
        **more: object,
    ) -> None:
        key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        row = {
            "tenant_id": tenant,
            "certificate_id": certificate_id,
            "device_id": device,
            "issuer_id": issuer_of(self.rows),
            "serial_number": f"{certificate.serial_number:x}",
            "fingerprint_sha256": certificate.fingerprint(hashes.SHA256()),
            "public_key_sha256": digest(key),
            "certificate_der": certificate.public_bytes(Encoding.DER),
            "not_before": certificate.not_valid_before_utc,
            "not_after": certificate.not_valid_after_utc,
            **more,
        }
        names = ", ".join(row)
        places = ", ".join(["%s"] * len(row))
        self.rows.execute(
            f"INSERT INTO certificates ({names}) VALUES ({places})",  # noqa: S608 -- ours
            list(row.values()),
        )

    async def open(self, one: Expired, seconds: int = 3600) -> None:
        await self.door.rescue.open(one.tenant, one.device, seconds, ALICE)

    async def ask(self, one: Expired, csr: str | None = None) -> httpx2.Response:
        return await self.http.post(PATH, json={"certificate": one.pem, "csr": csr or one.csr()})

    def acts(self, one: Expired) -> list[str]:
        rows = self.rows.execute(
            "SELECT action FROM audit_log WHERE tenant_id = %s ORDER BY at, audit_id", [one.tenant]
        )
        return [str(row[0]) for row in rows]


@pytest.fixture
async def rig(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[Rig]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    ca, people = FakeCa(), dict[str, Principal]()
    refusals = AuthAudit(database, address_of=lambda _: None)
    rigs: list[Rig] = []
    door = RescueDoor(
        rescue=Rescue(db=database, bus=cast("Bus", ca), clock=lambda: rigs[0].now),
        administrators=Administrators(FakeVerifier(people), refusals.refused_call),
        broker=shapes.Broker(host="broker.example", port=8883, ca_certificates="ca"),
    )
    limiter = Limiter(BoundedMemory(), address_of=lambda _: "192.0.2.1")
    endpoint = Open(method="POST", path=PATH, why="test", handler=door.post, limits=(LIMIT,))
    app = build_app([endpoint], nobody, limiter=limiter)
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="https://p.example"
    ) as http:
        rigs.append(Rig(door, ca, http, superuser, people))
        yield rigs[0]
    await database.close()


async def test_an_approved_device_gets_its_next_certificate_for_the_same_key(rig: Rig) -> None:
    one = rig.expired()
    await rig.open(one)

    answer = await rig.ask(one)

    assert answer.status_code == 201, answer.text
    assert answer.json()["device_id"] == str(one.device)
    (asked,) = rig.ca.asked
    assert asked.rescue
    assert asked.fingerprint == one.certificate.fingerprint(hashes.SHA256()).hex()
    assert rig.acts(one) == ["device.rescue_open", "device.rescue"]


async def test_without_an_approval_there_is_no_rescue(rig: Rig) -> None:
    answer = await rig.ask(rig.expired())

    assert answer.status_code == 401
    assert rig.ca.asked == []


async def test_an_approval_is_used_once(rig: Rig) -> None:
    one = rig.expired()
    await rig.open(one)
    await rig.ask(one)

    assert (await rig.ask(one)).status_code == 401


async def test_an_answer_that_was_lost_can_be_had_again_until_its_certificate_is_used(
    rig: Rig,
) -> None:
    one = rig.expired()
    await rig.open(one)
    await rig.ask(one)
    issued, new_id = issue(one.tenant, one.device, one.key, NOW + timedelta(days=9)), uuid4()
    rig.keep(one.tenant, one.device, issued, new_id, renewal=True)

    again = await rig.ask(one)
    rig.rows.execute(
        "UPDATE certificates SET first_used_at = now() WHERE certificate_id = %s", [new_id]
    )
    used = await rig.ask(one)

    assert (again.status_code, used.status_code) == (201, 401)


async def test_the_time_window_ends(rig: Rig) -> None:
    one = rig.expired()
    await rig.open(one, 3600)
    rig.now = NOW + timedelta(seconds=3600)

    assert (await rig.ask(one)).status_code == 401


async def test_another_key_or_a_request_that_the_key_did_not_sign_proves_nothing(rig: Rig) -> None:
    one = rig.expired()
    await rig.open(one)
    other = one.csr(ec.generate_private_key(ec.SECP256R1()))
    lines = one.csr().splitlines()
    lines[-2] = lines[-2][:-8] + ("AAAAAAA=" if lines[-2].endswith("=") else "AAAAAAAA")

    assert (await rig.ask(one, other)).status_code == 400
    assert (await rig.ask(one, "\n".join(lines))).status_code == 400
    assert (await rig.ask(one, "no request")).status_code == 400
    assert rig.ca.asked == []


async def test_a_certificate_of_somebody_elses_making_proves_nothing(rig: Rig) -> None:
    one = rig.expired()
    await rig.open(one)
    # The same names and dates, by the forger's own hand and key.
    key = ec.generate_private_key(ec.SECP256R1())
    forged = Expired(
        one.tenant, one.device, key, issue(one.tenant, one.device, key, NOW), one.certificate_id
    )

    assert (await rig.ask(forged)).status_code == 401


@pytest.mark.parametrize("status", ["revoked", "held"])
async def test_what_was_revoked_is_never_rescued(rig: Rig, status: str) -> None:
    before, after = rig.expired(), rig.expired()
    await rig.open(after)
    reason = "certificateHold" if status == "held" else "keyCompromise"
    for one in (before, after):
        rig.rows.execute(
            "UPDATE certificates SET status = %s, revoked_at = now(), revocation_reason = %s"
            " WHERE certificate_id = %s",
            [status, reason, one.certificate_id],
        )

    with pytest.raises(Conflict):
        await rig.open(before)
    assert (await rig.ask(after)).status_code == 401


async def test_a_device_that_was_cut_off_later_is_not_rescued_by_what_it_had_before(
    rig: Rig,
) -> None:
    one = rig.expired()
    newer = issue(one.tenant, one.device, ec.generate_private_key(ec.SECP256R1()), NOW)
    rig.keep(
        one.tenant,
        one.device,
        newer,
        uuid4(),
        status="revoked",
        revoked_at=NOW,
        revocation_reason="keyCompromise",
    )

    with pytest.raises(Conflict):
        await rig.open(one)


async def test_a_device_whose_certificate_counts_needs_no_rescue(rig: Rig) -> None:
    with pytest.raises(Conflict):
        await rig.open(rig.expired(ended=timedelta(days=-1)))


async def test_a_disabled_device_and_another_tenants_are_not_rescued(rig: Rig) -> None:
    one, other = rig.expired(), rig.expired()
    rig.rows.execute("UPDATE devices SET status = 'disabled' WHERE device_id = %s", [one.device])

    with pytest.raises(Conflict):
        await rig.open(one)
    with pytest.raises(NotFound):
        await rig.door.rescue.open(one.tenant, other.device, 3600, ALICE)


async def test_an_absent_ca_leaves_the_approval_open(rig: Rig) -> None:
    one = rig.expired()
    await rig.open(one)
    rig.ca.refusal = Unavailable("away")

    assert (await rig.ask(one)).status_code == 503
    rig.ca.refusal = None
    assert (await rig.ask(one)).status_code == 201


async def test_an_approval_can_be_taken_back(rig: Rig) -> None:
    one = rig.expired()
    rig.people["t"] = Principal(
        subject="alice", tenant=one.tenant, roles=frozenset({"tenant-admin"})
    )
    await rig.door.open(OpenRescueRequest(access_token="t", device_id=one.device))

    closed = [
        (await rig.door.close(CloseRescueRequest(access_token="t", device_id=one.device))).closed
        for _ in range(2)
    ]

    assert closed == [True, False]
    assert (await rig.ask(one)).status_code == 401
    assert rig.acts(one) == ["device.rescue_open", "device.rescue_close"]


async def test_only_administrators_approve(rig: Rig) -> None:
    one = rig.expired()
    rig.people["c"] = Principal(subject="bob", tenant=one.tenant, roles=frozenset({"customer"}))

    with pytest.raises(Forbidden):
        await rig.door.open(OpenRescueRequest(access_token="c", device_id=one.device))
    with pytest.raises(Unauthenticated):
        await rig.door.open(OpenRescueRequest(access_token="forged", device_id=one.device))


def issue(
    tenant: UUID, device: UUID, key: ec.EllipticCurvePrivateKey, ends: datetime
) -> x509.Certificate:
    name = x509.Name(
        [
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, str(tenant)),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, str(device)),
        ]
    )
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(ends - timedelta(days=90))
        .not_valid_after(ends)
        .sign(key, hashes.SHA256())
    )


def digest(data: bytes) -> bytes:
    hashed = hashes.Hash(hashes.SHA256())
    hashed.update(data)
    return hashed.finalize()


def issuer_of(rows: psycopg.Connection) -> Any:  # noqa: ANN401 -- whatever the row says
    found = rows.execute("SELECT issuer_id FROM issuers WHERE subject = 'rescue test'").fetchone()
    if found is not None:
        return found[0]
    made = uuid4()
    rows.execute(
        "INSERT INTO issuers (issuer_id, kind, subject, certificate_der, fingerprint_sha256, not_before, not_after,"
        " status) VALUES (%s, 'issuing', 'rescue test', '', %s, now(), now(), 'standby')",
        [made, digest(made.bytes)],
    )
    return made
