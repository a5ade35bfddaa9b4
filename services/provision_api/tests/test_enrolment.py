"""Tokens, devices and certificates against a real database and a real bus; the CA is a stand-in of ours."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx2
import pytest
from tests.parts import PASSWORD

from provision_api import shapes
from provision_api.app import Doors, create_app
from provision_api.callers import Callers
from provision_api.enrolment import Enrolment
from provision_api.handlers import Provisioning
from provision_api.renaming import Renaming
from provision_api.routes import Rates
from pulse_common import events
from pulse_common.auth_audit import AuthAudit
from pulse_common.bus import Bus
from pulse_common.errors import Forbidden, Malformed
from pulse_common.health import Readiness
from pulse_common.identity import Principal, TenantId
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADMIN_KEY = "k" * 32
ADMIN = {"x-pulse-admin-key": ADMIN_KEY}
ROOT = "/api/v1/provision"


@dataclass
class FakeCa:
    """Answers signature requests, or refuses them with ``refusal``."""

    refusal: Exception | None = None
    asked: list[events.SignRequest] = field(default_factory=list)

    async def sign(self, request: events.SignRequest) -> events.SignReply:
        self.asked.append(request)
        if self.refusal is not None:
            raise self.refusal
        await asyncio.sleep(0.05)
        return events.SignReply(
            certificate_id=uuid4(),
            certificate_pem="certificate",
            chain_pem="chain",
            serial_number="0a",
            not_before=NOW,
            not_after=NOW + timedelta(days=90),
        )


@dataclass
class Rig:
    """The service over ASGI, with the parts a test may look at or move."""

    http: httpx2.AsyncClient
    bus: Bus
    now: datetime = NOW

    def clock(self) -> datetime:
        return self.now

    async def post(
        self, path: str, body: dict[str, Any], headers: dict[str, str]
    ) -> httpx2.Response:
        return await self.http.post(f"{ROOT}/{path}", json=body, headers=headers)

    async def tenant(self) -> str:
        tenant = str(uuid4())
        response = await self.http.put(
            f"{ROOT}/tenants/{tenant}", json={"name": "Acme"}, headers=ADMIN
        )
        assert response.status_code == 201
        return tenant

    async def device(self, tenant: str) -> str:
        response = await self.post("devices", {"tenant_id": tenant, "name": "Lamp"}, ADMIN)
        assert response.status_code == 201, response.text
        return str(response.json()["id"])

    async def token(self, tenant: str, device: str) -> str:
        path = f"devices/{device}/enrolment-tokens"
        response = await self.post(path, {"tenant_id": tenant}, ADMIN)
        assert response.status_code == 201, response.text
        return str(response.json()["token"])

    async def enrol(self, token: str) -> httpx2.Response:
        return await self.post("enroll", {"token": token, "csr": "csr"}, {})


VERIFIER = FakeVerifier({})


@pytest.fixture
async def rig(postgres: Postgres, nats_server: Nats) -> AsyncIterator[Rig]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    bus = await Bus.connect(url=nats_server.url, user="test", password=PASSWORD, service="p")
    rig = Rig(httpx2.AsyncClient(), bus)
    refusals = AuthAudit(database, address_of=lambda _: "192.0.2.1")
    provisioning = Provisioning(
        Enrolment(database, bus, rig.clock),
        Renaming(db=database, clock=rig.clock),
        VERIFIER,
        shapes.Broker(host="broker.example", port=8883, ca_certificates="ca"),
        refusals.refused_call,
    )
    await bus.answer(events.CreateDeviceRequest, provisioning.answer_create_device)
    doors = Doors(
        callers=Callers(ADMIN_KEY.encode(), VERIFIER),
        rates=Rates(admin_per_minute=1000, enrol_per_minute=1000),
        limiter=Limiter(BoundedMemory(), address_of=lambda _: "192.0.2.1"),
        on_refused=refusals.refused,
    )
    app = create_app(provisioning, doors, Readiness())
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="https://test"
    ) as rig.http:
        yield rig
    await bus.close()
    await database.close()


@pytest.fixture
async def ca(rig: Rig) -> FakeCa:
    fake = FakeCa()
    await rig.bus.answer(events.SignRequest, fake.sign)
    return fake


def person(tenant: str, *roles: str) -> dict[str, str]:
    """Let a token through that speaks for somebody of ``tenant``."""
    token = f"token-{uuid4()}"
    VERIFIER._known[token] = Principal(
        subject="alice", tenant=TenantId(UUID(tenant)), roles=frozenset(roles)
    )
    return {"authorization": f"Bearer {token}"}


def revoke_some_certificate(superuser: psycopg.Connection, tenant: str, device: str) -> None:
    issuer = uuid4()
    superuser.execute(
        """
        INSERT INTO issuers (issuer_id, kind, subject, certificate_der, fingerprint_sha256, not_before, not_after)
        VALUES (%s, 'issuing', 'CN=CA', '', sha256(%s), now(), now())
        """,
        [issuer, issuer.bytes],
    )
    superuser.execute(
        """
        INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,
                                  public_key_sha256, certificate_der, not_before, not_after, status, revoked_at,
                                  revocation_reason)
        VALUES (%s, %s, %s, %s, '0a', sha256(%s), sha256(''), '', now(), now(), 'revoked', now(), 'keyCompromise')
        """,
        [tenant, uuid4(), device, issuer, issuer.bytes],
    )


async def test_token_and_csr_become_a_certificate(rig: Rig, ca: FakeCa) -> None:
    tenant = await rig.tenant()
    device = await rig.device(tenant)

    response = await rig.enrol(await rig.token(tenant, device))

    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    answer = response.json()
    assert (answer["tenant_id"], answer["device_id"]) == (tenant, device)
    assert answer["mqtt"]["host"] == "broker.example"
    assert [str(r.device_id) for r in ca.asked] == [device]


async def test_token_works_once(rig: Rig, ca: FakeCa) -> None:
    tenant = await rig.tenant()
    token = await rig.token(tenant, await rig.device(tenant))
    await rig.enrol(token)

    again = await rig.enrol(token)

    assert again.status_code == 401
    assert len(ca.asked) == 1


async def test_of_two_that_race_for_one_token_one_wins(rig: Rig, ca: FakeCa) -> None:
    tenant = await rig.tenant()
    token = await rig.token(tenant, await rig.device(tenant))

    responses = await asyncio.gather(*(rig.enrol(token) for _ in range(5)))

    assert sorted(r.status_code for r in responses) == [201, 401, 401, 401, 401]
    assert len(ca.asked) == 1


async def test_expired_token_is_refused(rig: Rig, ca: FakeCa) -> None:
    tenant = await rig.tenant()
    token = await rig.token(tenant, await rig.device(tenant))
    rig.now = NOW + timedelta(hours=24, seconds=1)

    assert (await rig.enrol(token)).status_code == 401
    assert ca.asked == []


async def test_token_from_before_a_revocation_is_dead(
    rig: Rig, ca: FakeCa, superuser: psycopg.Connection
) -> None:
    tenant = await rig.tenant()
    device = await rig.device(tenant)
    before = await rig.token(tenant, device)
    revoke_some_certificate(superuser, tenant, device)
    after = await rig.token(tenant, device)

    assert (await rig.enrol(before)).status_code == 401
    assert (await rig.enrol(after)).status_code == 201


@pytest.mark.parametrize("refusal", [Malformed("the CSR is not signed"), None])
async def test_refused_signature_leaves_the_token_usable(
    rig: Rig, refusal: Exception | None
) -> None:
    tenant = await rig.tenant()
    token = await rig.token(tenant, await rig.device(tenant))
    ca = FakeCa(refusal)
    if refusal is not None:
        await rig.bus.answer(events.SignRequest, ca.sign)

    refused = await rig.enrol(token)
    if refusal is None:
        await rig.bus.answer(events.SignRequest, ca.sign)
    ca.refusal = None

    assert refused.status_code == (400 if refusal else 503)
    assert (await rig.enrol(token)).status_code == 201


async def test_only_the_tokens_hash_is_kept(rig: Rig, superuser: psycopg.Connection) -> None:
    tenant = await rig.tenant()
    token = await rig.token(tenant, await rig.device(tenant))

    rows = superuser.execute(
        "SELECT enrolment_tokens::text FROM enrolment_tokens WHERE tenant_id = %s", [tenant]
    ).fetchall()

    assert len(rows) == 1
    assert token not in str(rows)


async def test_changes_are_audited_and_told(rig: Rig, superuser: psycopg.Connection) -> None:
    tenant = await rig.tenant()
    device = await rig.device(tenant)
    await rig.token(tenant, device)

    acts = superuser.execute(
        "SELECT action FROM audit_log WHERE tenant_id = %s ORDER BY at", [tenant]
    ).fetchall()
    told = superuser.execute(
        "SELECT subject, payload->>'device_id' FROM outbox WHERE tenant_id = %s", [tenant]
    ).fetchall()

    assert acts == [("tenant.create",), ("device.create",), ("enrolment_token.mint",)]
    assert told == [("pulse.events.device.created", device)]


async def test_administrator_adds_devices_to_the_own_tenant_only(rig: Rig) -> None:
    a, b = await rig.tenant(), await rig.tenant()
    theirs = await rig.device(b)
    alice = person(a, "tenant-admin")

    own = await rig.post("devices", {"name": "Lamp"}, alice)
    named = await rig.post("devices", {"name": "Lamp", "tenant_id": b}, alice)
    token = await rig.post(f"devices/{theirs}/enrolment-tokens", {}, alice)

    assert (own.status_code, own.json()["tenant_id"]) == (201, a)
    assert named.status_code == 400
    assert token.status_code == 404


async def test_tenant_is_made_once_and_never_renamed_by_accident(rig: Rig) -> None:
    tenant = await rig.tenant()
    path = f"{ROOT}/tenants/{tenant}"

    same = await rig.http.put(path, json={"name": "Acme"}, headers=ADMIN)
    other = await rig.http.put(path, json={"name": "Other"}, headers=ADMIN)

    assert (same.status_code, other.status_code) == (200, 409)


async def test_suspended_tenant_gets_no_devices(rig: Rig, superuser: psycopg.Connection) -> None:
    tenant = await rig.tenant()
    superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [tenant])

    response = await rig.post("devices", {"name": "Lamp", "tenant_id": tenant}, ADMIN)

    assert response.status_code == 403


async def test_unknown_tenant_gets_no_devices(rig: Rig) -> None:
    response = await rig.post("devices", {"name": "Lamp", "tenant_id": str(uuid4())}, ADMIN)

    assert response.status_code == 404


async def test_disabled_device_gets_no_token(rig: Rig, superuser: psycopg.Connection) -> None:
    tenant = await rig.tenant()
    device = await rig.device(tenant)
    superuser.execute("UPDATE devices SET status = 'disabled' WHERE device_id = %s", [device])

    response = await rig.post(f"devices/{device}/enrolment-tokens", {"tenant_id": tenant}, ADMIN)

    assert response.status_code == 409


async def test_ui_adds_a_device_with_the_persons_own_token(rig: Rig) -> None:
    tenant = await rig.tenant()
    token = person(tenant, "tenant-admin")["authorization"].removeprefix("Bearer ")

    request = events.CreateDeviceRequest(access_token=token, name="Lamp")
    reply = await rig.bus.call(request, events.CreateDeviceReply)

    assert reply.token.startswith("pet_")


async def test_ui_adds_nothing_for_somebody_who_may_not(rig: Rig) -> None:
    tenant = await rig.tenant()
    token = person(tenant, "customer")["authorization"].removeprefix("Bearer ")

    with pytest.raises(Forbidden):
        await rig.bus.call(
            events.CreateDeviceRequest(access_token=token, name="Lamp"), events.CreateDeviceReply
        )


async def test_a_wrong_admin_key_is_on_the_record(rig: Rig, superuser: psycopg.Connection) -> None:
    headers = {"x-pulse-admin-key": "wrong", "x-request-id": f"test-{uuid4()}"}

    response = await rig.post("devices", {"name": "x"}, headers)

    assert response.status_code == 401
    row = superuser.execute(
        "SELECT action, outcome, reason, address FROM audit_log WHERE request_id = %s",
        [headers["x-request-id"]],
    ).fetchall()
    assert row == [("credentials.refuse", "denied", "admin_key", "192.0.2.1")]


async def test_suspended_tenant_gets_no_tokens(rig: Rig, superuser: psycopg.Connection) -> None:
    tenant = await rig.tenant()
    device = await rig.device(tenant)
    superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [tenant])

    response = await rig.post(f"devices/{device}/enrolment-tokens", {"tenant_id": tenant}, ADMIN)

    assert response.status_code == 403


@pytest.mark.usefixtures("ca")
async def test_suspended_tenant_enrols_nothing_until_it_resumes(
    rig: Rig, superuser: psycopg.Connection
) -> None:
    tenant = await rig.tenant()
    token = await rig.token(tenant, await rig.device(tenant))
    superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [tenant])

    refused = await rig.enrol(token)
    superuser.execute("UPDATE tenants SET status = 'active' WHERE tenant_id = %s", [tenant])
    resumed = await rig.enrol(token)

    assert (refused.status_code, resumed.status_code) == (403, 201)
