from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest
from starlette.testclient import TestClient

from provision_api import shapes
from provision_api.app import create_app
from provision_api.enrolment import Enrolment
from provision_api.handlers import Provisioning
from provision_api.routes import endpoints
from pulse_common.clock import system_clock
from pulse_common.health import Readiness
from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.identity import Principal, TenantId
from pulse_common.testing.fakes import FakeVerifier, Unreachable

if TYPE_CHECKING:
    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database

VERIFIER = FakeVerifier(
    {"t": Principal(subject="bob", tenant=TenantId(uuid4()), roles=frozenset({"customer"}))}
)
PROVISIONING = Provisioning(
    Enrolment(cast("Database", Unreachable()), cast("Bus", Unreachable()), system_clock),
    VERIFIER,
    shapes.Broker(host="h", port=1, ca_certificates=""),
)
ALL = endpoints(PROVISIONING)
GUARDED = [e for e in ALL if isinstance(e, Guarded)]


@pytest.fixture
def client() -> TestClient:
    app = create_app(
        provisioning=PROVISIONING,
        admin_key=b"k" * 32,
        verifier=VERIFIER,
        readiness=Readiness(),
    )
    return TestClient(app)


def test_open_routes_are_exactly_these() -> None:
    assert [e.path for e in ALL if isinstance(e, Open)] == ["/api/v1/provision/enroll"]


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
