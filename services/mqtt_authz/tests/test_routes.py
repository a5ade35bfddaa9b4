"""The HTTP surface: what is open, and that nothing guarded is reached without the broker's secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

import httpx2
import pytest
from services.mqtt_authz.tests.conftest import SECRET, make_gate

from mqtt_authz.routes import endpoints
from mqtt_authz.secrets import SharedSecret
from pulse_common.health import Readiness
from pulse_common.http import Guarded, Open, build_app
from pulse_common.identity import Principal

if TYPE_CHECKING:
    from starlette.requests import Request

pytestmark = pytest.mark.anyio


class UnreachableDatabase:
    def service_connection(self, role: str) -> NoReturn:
        raise AssertionError(f"a refused request reached the database as {role}")


UNREACHABLE: Any = UnreachableDatabase()
ALL = endpoints(
    make_gate(UNREACHABLE),
    Readiness(),
)
GUARDED = [endpoint for endpoint in ALL if isinstance(endpoint, Guarded)]


async def authenticate(request: Request) -> Principal:
    """As the real one, and one more caller whose credentials are good for something else."""
    if request.headers.get("authorization") == "Bearer other":
        return Principal(subject="other", tenant=None, roles=frozenset({"operator"}))
    return await SharedSecret(current=SECRET.encode(), previous=None).authenticate(request)


async def call(method: str, path: str, token: str | None) -> httpx2.Response:
    headers = {"authorization": f"Bearer {token}"} if token else {}
    transport = httpx2.ASGITransport(build_app(ALL, authenticate))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
        return await client.request(method, path, headers=headers, json={})


def test_open_routes_are_exactly_these() -> None:
    assert [e.path for e in ALL if isinstance(e, Open)] == ["/healthz", "/readyz", "/metrics"]


def test_guarded_routes_are_exactly_these() -> None:
    assert [(e.method, e.path) for e in GUARDED] == [
        ("POST", "/api/v1/internal/mqtt-auth"),
        ("POST", "/api/v1/internal/mqtt-acl"),
        ("POST", "/api/v1/internal/mqtt-denied"),
    ]


@pytest.mark.parametrize("endpoint", GUARDED, ids=lambda endpoint: endpoint.path)
@pytest.mark.parametrize(
    ("token", "status"), [(None, 401), ("forged", 401), (SECRET[:-1], 401), ("other", 403)]
)
async def test_guarded_route_refuses(endpoint: Guarded, token: str | None, status: int) -> None:
    response = await call(endpoint.method, endpoint.path, token)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_metrics_are_served() -> None:
    response = await call("GET", "/metrics", None)

    assert "pulse_mqtt_revocation_to_silence_seconds" in response.text
