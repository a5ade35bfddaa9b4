"""Each door of this service is classified: what an unpaid bill refuses at the last step, and why the rest goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import httpx2
import pytest
from services.provision_api.tests.test_routes import ALL as ROUTES

from provision_api import shapes
from provision_api.app import Doors, create_app
from provision_api.callers import Callers
from provision_api.device_token_api import DeviceTokenApi
from provision_api.device_tokens import DeviceTokens
from provision_api.enrolment import Enrolment
from provision_api.handlers import Provisioning
from provision_api.renaming import Renaming
from provision_api.routes import Rates
from pulse_common.auth_audit import AuthAudit
from pulse_common.clock import system_clock
from pulse_common.health import Readiness
from pulse_common.identity import Principal, TenantId
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio
ROOT = "/api/v1/provision"
DEVICE = f"{ROOT}/devices/{{device_id}}"
REFUSED = {
    f"POST {ROOT}/devices",
    f"POST {DEVICE}/enrolment-tokens",
    f"POST {DEVICE}/device-tokens",
    f"PUT {DEVICE}/device-tokens",  # to allow them; to forbid them takes away
}
EST = ("/.well-known/est/{profile}", "/.well-known/est")
STILL = {
    f"PUT {ROOT}/tenants/{{tenant_id}}": "the platform's own act",
    f"DELETE {DEVICE}/device-tokens/{{token_id}}": "shuts out",
    f"POST {ROOT}/fleet/enroll": "adds a device: refused from the step before, and a known one goes on (test_claiming)",
    f"POST {ROOT}/enroll": "a device that was added and counted takes up its place",
    f"POST {ROOT}/renew": "no device is cut for a bill",
    f"POST {ROOT}/rescue": "no device is cut for a bill: what was approved before",
    f"POST {ROOT}/trust": "no device is cut for a bill",
    **{f"POST {root}/simpleenroll": "as enroll and fleet/enroll" for root in EST},
    **{f"POST {root}/simplereenroll": "as renew" for root in EST},
    **{
        f"POST {root}/{name}": "not offered" for root in EST for name in ("fullcmc", "serverkeygen")
    },
}
TENANT = TenantId(uuid4())


def device_tokens(database: Database) -> DeviceTokenApi:
    return DeviceTokenApi(DeviceTokens(db=database, clock=system_clock))


def test_each_door_that_changes_something_is_classified_and_no_other() -> None:
    nowhere = cast("Database", Unreachable())
    doors = [*ROUTES, *device_tokens(nowhere).endpoints(per_minute=1)]

    assert {f"{e.method} {e.path}" for e in doors if e.method != "GET"} == REFUSED | set(STILL)


@pytest.fixture
async def http(postgres: Postgres) -> AsyncIterator[httpx2.AsyncClient]:
    """Ask as an administrator of the tenant, at the doors as the service opens them."""
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    admin = Principal(subject="alice", tenant=TENANT, roles=frozenset({"tenant-admin"}))
    verifier = FakeVerifier({"alice": admin})
    provisioning = Provisioning(
        Enrolment(database, cast("Bus", Unreachable()), system_clock),
        Renaming(db=database, clock=system_clock),
        verifier,
        shapes.Broker(host="h", port=1, ca_certificates=""),
        AuthAudit(database, address_of=lambda _: None).refused_call,
    )
    doors = Doors(
        callers=Callers(b"k" * 32, verifier),
        rates=Rates(admin_per_minute=100, enrol_per_minute=100),
        limiter=Limiter(BoundedMemory(), address_of=lambda _: "192.0.2.1"),
        on_refused=AuthAudit(database, address_of=lambda _: None).refused,
    )
    app = create_app(provisioning, doors, Readiness(), device_tokens(database))
    transport = httpx2.ASGITransport(app)
    headers = {"authorization": "Bearer alice"}
    async with httpx2.AsyncClient(
        transport=transport, base_url="http://p", headers=headers
    ) as client:
        yield client
    await database.close()


@pytest.mark.parametrize(
    ("access", "statuses"),
    [("no_new_devices", [402, 201, 204, 201]), ("read_only", [402, 402, 402, 402])],
)
async def test_each_refused_door_refuses_at_its_step_and_not_before(
    http: httpx2.AsyncClient, superuser: psycopg.Connection, access: str, statuses: list[int]
) -> None:
    device = device_of(superuser, access)
    calls: list[tuple[str, str, dict[str, object]]] = [
        ("POST", "devices", {"name": "Lamp"}),
        ("POST", f"devices/{device}/enrolment-tokens", {}),
        ("PUT", f"devices/{device}/device-tokens", {"allowed": True}),
        ("POST", f"devices/{device}/device-tokens", {}),
    ]

    answers = [
        (await http.request(method, f"{ROOT}/{path}", json=body)) for method, path, body in calls
    ]

    assert [answer.status_code for answer in answers] == statuses
    assert len(calls) == len(REFUSED)
    refused = [answer.json()["detail"] for answer in answers if answer.status_code == 402]
    assert all("an invoice is unpaid" in words for words in refused)


async def test_tokens_are_forbidden_whatever_is_unpaid(
    http: httpx2.AsyncClient, superuser: psycopg.Connection
) -> None:
    device = device_of(superuser, "read_only")

    answer = await http.put(f"{ROOT}/devices/{device}/device-tokens", json={"allowed": False})

    assert answer.status_code == 204


def device_of(superuser: psycopg.Connection, access: str) -> UUID:
    """Make the tenant's device, and what holds for the tenant."""
    device = uuid4()
    superuser.execute(
        "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T') ON CONFLICT DO NOTHING", [TENANT]
    )
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'Lamp')", [TENANT, device]
    )
    superuser.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, hard_limits, features, cause,"
        " applied_at) VALUES (%s, 1, 'free', %s, true, '{}', 'test', now())"
        " ON CONFLICT (tenant_id) DO UPDATE SET access = excluded.access",
        [TENANT, access],
    )
    return device
