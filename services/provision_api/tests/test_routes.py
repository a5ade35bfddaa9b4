from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from provision_api import shapes
from provision_api.app import Doors, create_app
from provision_api.callers import Callers
from provision_api.enrolment import Enrolment
from provision_api.handlers import Provisioning
from provision_api.renaming import Renaming
from provision_api.routes import Rates, endpoints
from pulse_common.auth_audit import AuthAudit
from pulse_common.clock import system_clock
from pulse_common.health import Readiness
from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.identity import Principal, TenantId
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.testing.fakes import FakeVerifier, Unreachable

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from pulse_common.bus import Bus
    from pulse_common.errors import Unauthenticated
    from pulse_common.tenancy import Database

VERIFIER = FakeVerifier(
    {"t": Principal(subject="bob", tenant=TenantId(uuid4()), roles=frozenset({"customer"}))}
)
PROVISIONING = Provisioning(
    Enrolment(cast("Database", Unreachable()), cast("Bus", Unreachable()), system_clock),
    Renaming(db=cast("Database", Unreachable()), clock=system_clock),
    VERIFIER,
    shapes.Broker(host="h", port=1, ca_certificates=""),
    AuthAudit(cast("Database", Unreachable()), address_of=lambda _: None).refused_call,
)
ALL = endpoints(PROVISIONING)
GUARDED = [e for e in ALL if isinstance(e, Guarded)]


class AwayStore(BoundedMemory):
    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        raise ConnectionError("gone")


class RefusedReasons(list[str | None]):
    async def note(self, _: HTTPConnection, error: Unauthenticated) -> None:
        self.append(error.reason)


def make_client(store: BoundedMemory, refused: RefusedReasons) -> TestClient:
    doors = Doors(
        callers=Callers(b"k" * 32, VERIFIER),
        rates=Rates(admin_per_minute=10, enrol_per_minute=30),
        limiter=Limiter(store, address_of=lambda _: "192.0.2.1"),
        on_refused=refused.note,
    )
    return TestClient(create_app(PROVISIONING, doors, Readiness()))


@pytest.fixture
def refused() -> RefusedReasons:
    return RefusedReasons()


@pytest.fixture
def client(refused: RefusedReasons) -> TestClient:
    return make_client(BoundedMemory(), refused)


def test_open_routes_are_exactly_these() -> None:
    assert [e.path for e in ALL if isinstance(e, Open)] == [
        "/.well-known/est/{profile}/cacerts",
        "/.well-known/est/{profile}/csrattrs",
        "/.well-known/est/{profile}/simpleenroll",
        "/.well-known/est/{profile}/simplereenroll",
        "/.well-known/est/{profile}/fullcmc",
        "/.well-known/est/{profile}/serverkeygen",
        "/.well-known/est/cacerts",
        "/.well-known/est/csrattrs",
        "/.well-known/est/simpleenroll",
        "/.well-known/est/simplereenroll",
        "/.well-known/est/fullcmc",
        "/.well-known/est/serverkeygen",
        "/api/v1/provision/fleet/enroll",
        "/api/v1/provision/rescue",
        "/api/v1/provision/renew",
        "/api/v1/provision/trust",
        "/api/v1/provision/enroll",
    ]


@pytest.mark.parametrize("endpoint", GUARDED, ids=lambda e: f"{e.method} {e.path}")
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": "Bearer forged"}, 401),
        ({"authorization": "Bearer t"}, 403),
        ({"x-pulse-admin-key": "wrong"}, 401),
        ({"x-pulse-admin-key": "é".encode()}, 401),
        ({"x-pulse-admin-key": b"\xff"}, 401),
        ({"x-pulse-admin-key": ""}, 401),
        # A wrong key is not made good by a token beside it.
        ({"x-pulse-admin-key": "wrong", "authorization": "Bearer t"}, 401),
    ],
)
def test_guarded_route_refuses(
    client: TestClient, endpoint: Endpoint, headers: dict[str, str], status: int
) -> None:
    response = client.request(endpoint.method, endpoint.path, headers=headers)

    assert response.status_code == status


def test_ten_calls_a_minute_reach_the_admin_doors_good_or_bad_through_whichever(
    client: TestClient,
) -> None:
    forbidden = {"authorization": "Bearer t"}
    statuses = [
        client.request(e.method, e.path, headers=headers).status_code
        for headers in ({"x-pulse-admin-key": "wrong"}, forbidden, {}, forbidden)
        for e in GUARDED
    ]

    assert [s for s in statuses[:10] if s == 429] == []
    assert statuses[10:] == [429, 429]


def test_no_guess_at_the_admin_key_is_judged_past_the_limit(
    client: TestClient, refused: RefusedReasons
) -> None:
    for number in range(50):
        client.post("/api/v1/provision/devices", headers={"x-pulse-admin-key": f"guess-{number}"})

    assert refused == ["admin_key"] * 10


def test_thirty_calls_a_minute_may_try_to_enrol(client: TestClient) -> None:
    body = {"token": "wrong", "csr": ""}

    statuses = [client.post("/api/v1/provision/enroll", json=body).status_code for _ in range(31)]

    assert statuses == [401] * 30 + [429]


def test_while_nobody_counts_the_admin_doors_are_shut_and_enrolment_is_open(
    refused: RefusedReasons,
) -> None:
    client = make_client(AwayStore(), refused)

    admin = client.post("/api/v1/provision/devices", headers={"x-pulse-admin-key": "k" * 32})
    enrolment = client.post("/api/v1/provision/enroll", json={"token": "wrong", "csr": ""})

    assert (admin.status_code, enrolment.status_code) == (503, 401)
