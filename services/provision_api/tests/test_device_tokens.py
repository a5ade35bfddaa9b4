"""Device tokens: for administrators of the tenant alone, off by default, shown once, hashed, two at a time."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx2
import pytest

from provision_api.administrators import Administrators
from provision_api.callers import Callers
from provision_api.device_token_api import DeviceTokenApi
from provision_api.device_token_calls import DeviceTokenCalls
from provision_api.device_tokens import DeviceTokens
from pulse_common.errors import AppError, Forbidden, NotFound, Unauthenticated
from pulse_common.events_device_tokens import (
    MintDeviceTokenRequest,
    PermitDeviceTokensRequest,
    RevokeDeviceTokenRequest,
)
from pulse_common.http import Guarded, build_app
from pulse_common.identity import Principal, TenantId
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    import psycopg
    from tests.parts import Postgres

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ADMIN_KEY = "k" * 32


@dataclass
class Rig:
    http: httpx2.AsyncClient
    api: DeviceTokenApi
    sql: psycopg.Connection
    verifier: FakeVerifier
    tenant: UUID
    device: UUID

    @property
    def path(self) -> str:
        return f"/api/v1/provision/devices/{self.device}/device-tokens"

    async def call(
        self,
        method: str,
        path: str = "",
        *,
        who: str = "alice",
        **more: Any,  # noqa: ANN401 -- httpx2's own arguments
    ) -> httpx2.Response:
        headers = {"authorization": f"Bearer {who}", **more.pop("headers", {})}
        return await self.http.request(method, self.path + path, headers=headers, **more)

    async def allow(self) -> None:
        answer = await self.call("PUT", json={"allowed": True})
        assert answer.status_code == 204, answer.text

    async def mint(self, **more: Any) -> dict[str, Any]:  # noqa: ANN401 -- httpx2's own arguments
        answer = await self.call("POST", **more)
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    def column(self, query: bytes) -> list[Any]:
        return [row[0] for row in self.sql.execute(query, [self.tenant]).fetchall()]

    def acts(self) -> list[str]:
        return self.column(
            b"SELECT action FROM audit_log WHERE tenant_id = %s ORDER BY audit_id, action"
        )

    def told(self) -> list[str]:
        return self.column(b"SELECT subject FROM outbox WHERE tenant_id = %s ORDER BY position")


@pytest.fixture
def calls(rig: Rig) -> DeviceTokenCalls:
    async def unheard(rpc: str, request_id: str | None, error: Unauthenticated) -> None: ...

    return DeviceTokenCalls(rig.api.tokens, Administrators(rig.verifier, unheard))


@pytest.fixture
async def rig(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[Rig]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    tenant, device = uuid4(), uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'D')", [tenant, device]
    )

    def principal(role: str, of: UUID) -> Principal:
        return Principal(subject=role, tenant=TenantId(of), roles=frozenset({role}))

    verifier = FakeVerifier(
        {
            "alice": principal("tenant-admin", tenant),
            "bob": principal("customer", tenant),
            "mallory": principal("tenant-admin", uuid4()),
        }
    )
    api = DeviceTokenApi(DeviceTokens(db=database, clock=lambda: NOW))
    app = build_app(
        api.endpoints(per_minute=1000),
        Callers(ADMIN_KEY.encode(), verifier).authenticate,
        limiter=Limiter(BoundedMemory(), address_of=lambda _: "192.0.2.1"),
    )
    async with httpx2.AsyncClient(
        transport=httpx2.ASGITransport(app), base_url="http://provision"
    ) as http:
        yield Rig(http, api, superuser, verifier, tenant, device)
    await database.close()


async def test_every_door_is_for_the_tenant_s_administrators_alone(rig: Rig) -> None:
    for endpoint in rig.api.endpoints(per_minute=1):
        assert isinstance(endpoint, Guarded)
        path = endpoint.path.format(device_id=rig.device, token_id=uuid4())
        for headers, status in (
            ({}, 401),
            ({"authorization": "Bearer forged"}, 401),
            ({"authorization": "Bearer bob"}, 403),
            ({"x-pulse-admin-key": ADMIN_KEY}, 403),
            ({"x-pulse-admin-key": "wrong"}, 401),
        ):
            answer = await rig.http.request(endpoint.method, path, headers=headers)
            assert answer.status_code == status, (endpoint.method, path, headers)


async def test_tokens_are_off_until_they_are_allowed_for_the_device(rig: Rig) -> None:
    assert (await rig.call("POST")).status_code == 403

    await rig.allow()

    assert (await rig.call("POST")).status_code == 201


async def test_token_is_shown_once_and_kept_as_a_hash(rig: Rig) -> None:
    await rig.allow()

    made = await rig.mint(json={"expires_in_seconds": 3600})

    assert made["token"].startswith("pdt_")
    assert len(made["token"]) == 47
    assert made["client_id"] == str(rig.device)
    assert made["username"] == f"{rig.tenant}/{rig.device}"
    assert datetime.fromisoformat(made["expires_at"]) == NOW + timedelta(hours=1)
    hashes = rig.column(b"SELECT token_hash FROM device_tokens WHERE tenant_id = %s")
    assert hashes == [hashlib.sha256(made["token"].encode()).digest()]
    listed = await rig.call("GET")
    assert [row["id"] for row in listed.json()["items"]] == [made["id"]]
    assert made["token"] not in listed.text
    assert rig.acts() == ["device_token.permit", "device_token.mint"]
    assert rig.told() == ["pulse.events.device.token_minted"]
    written = rig.column(b"SELECT details::text FROM audit_log WHERE tenant_id = %s")
    assert made["token"] not in str(written)


async def test_two_tokens_overlap_and_a_third_waits_for_one_to_go(rig: Rig) -> None:
    await rig.allow()
    first, _ = await rig.mint(), await rig.mint()
    assert (await rig.call("POST")).status_code == 409

    assert (await rig.call("DELETE", f"/{first['id']}")).status_code == 204

    await rig.mint()


async def test_same_idempotency_key_makes_one_token(rig: Rig) -> None:
    await rig.allow()
    made = await rig.mint(headers={"idempotency-key": "once"})

    again = await rig.call("POST", headers={"idempotency-key": "once"})

    assert again.status_code == 409
    assert made["id"] in again.text
    assert len(rig.column(b"SELECT token_id FROM device_tokens WHERE tenant_id = %s")) == 1


async def test_revoking_is_told_once_and_may_be_repeated(rig: Rig) -> None:
    await rig.allow()
    made = await rig.mint()

    for _ in range(2):
        assert (await rig.call("DELETE", f"/{made['id']}")).status_code == 204

    assert rig.acts()[2:] == ["device_token.revoke"]
    assert rig.told()[1:] == ["pulse.events.device.token_revoked"]


async def test_forbidding_tokens_revokes_those_that_are_good(rig: Rig) -> None:
    await rig.allow()
    await rig.mint()
    await rig.mint()

    assert (await rig.call("PUT", json={"allowed": False})).status_code == 204

    revoked = rig.column(b"SELECT revoked_at FROM device_tokens WHERE tenant_id = %s")
    assert revoked == [NOW, NOW]
    assert rig.told().count("pulse.events.device.token_revoked") == 2
    assert (await rig.call("POST")).status_code == 403


async def test_device_of_another_tenant_does_not_exist(rig: Rig) -> None:
    await rig.allow()
    made = await rig.mint()
    calls: list[Callable[[], Awaitable[httpx2.Response]]] = [
        lambda: rig.call("GET", who="mallory"),
        lambda: rig.call("DELETE", f"/{made['id']}", who="mallory"),
        lambda: rig.call("PUT", who="mallory", json={"allowed": False}),
    ]

    assert [(await call()).status_code for call in calls] == [404, 404, 404]


@pytest.mark.parametrize("seconds", [0, 299, 365 * 86400 + 1, -1])
async def test_life_is_from_five_minutes_to_a_year(rig: Rig, seconds: int) -> None:
    await rig.allow()

    assert (await rig.call("POST", json={"expires_in_seconds": seconds})).status_code == 400


async def test_unpaid_bill_stops_new_tokens_and_not_their_revocation(rig: Rig) -> None:
    await rig.allow()
    made = await rig.mint()
    rig.sql.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, hard_limits, features,"
        " cause, applied_at) VALUES (%s, 1, 'free', 'read_only', 5, true, '{}', 'test', now())",
        [rig.tenant],
    )

    assert (await rig.call("POST")).status_code == 402
    assert (await rig.call("DELETE", f"/{made['id']}")).status_code == 204


async def test_profile_may_allow_what_the_device_s_own_switch_does_not(rig: Rig) -> None:
    profile = uuid4()
    rig.sql.execute(
        "INSERT INTO device_profiles (tenant_id, profile_id, name, tokens_allowed) VALUES (%s, %s, 'P', true)",
        [rig.tenant, profile],
    )
    rig.sql.execute(
        "UPDATE devices SET profile_id = %s WHERE device_id = %s", [profile, rig.device]
    )
    await rig.mint()

    rig.sql.execute(
        "UPDATE device_profiles SET tokens_allowed = false WHERE profile_id = %s", [profile]
    )

    assert (await rig.call("POST")).status_code == 403


async def test_page_s_calls_do_what_the_api_does(rig: Rig, calls: DeviceTokenCalls) -> None:
    named: dict[str, Any] = {"access_token": "alice", "device_id": rig.device}

    await calls.permit(PermitDeviceTokensRequest(**named, allowed=True))
    made = await calls.mint(MintDeviceTokenRequest(**named, expires_in_seconds=3600))
    await calls.revoke(RevokeDeviceTokenRequest(**named, token_id=made.token_id))

    assert made.username == f"{rig.tenant}/{rig.device}"
    assert made.expires_at == NOW + timedelta(hours=1)
    assert rig.acts() == ["device_token.permit", "device_token.mint", "device_token.revoke"]
    assert rig.told()[-1] == "pulse.events.device.token_revoked"


@pytest.mark.parametrize(
    ("who", "refusal"), [("forged", Unauthenticated), ("bob", Forbidden), ("mallory", NotFound)]
)
async def test_page_s_calls_are_for_the_tenant_s_administrators_alone(
    rig: Rig, calls: DeviceTokenCalls, who: str, refusal: type[AppError]
) -> None:
    await rig.allow()
    made = await rig.mint()
    named: dict[str, Any] = {"access_token": who, "device_id": rig.device}

    with pytest.raises(refusal):
        await calls.permit(PermitDeviceTokensRequest(**named, allowed=False))
    with pytest.raises(refusal):
        await calls.mint(MintDeviceTokenRequest(**named))
    with pytest.raises(refusal):
        await calls.revoke(RevokeDeviceTokenRequest(**named, token_id=UUID(made["id"])))

    assert rig.told() == ["pulse.events.device.token_minted"]
