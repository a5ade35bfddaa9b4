from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.testclient import TestClient

from pulse_common.errors import NotFound, Unauthenticated
from pulse_common.http import Guarded, Open, bearer_token, build_app, read_model
from pulse_common.identity import Principal, TenantId

if TYPE_CHECKING:
    from starlette.requests import Request


class Thing(BaseModel):
    name: str


async def make(request: Request, principal: Principal) -> Response:
    thing = await read_model(request, Thing, limit=100)
    return JSONResponse({"name": thing.name, "by": principal.subject}, 201)


async def missing(_: Request) -> Response:
    raise NotFound("no such thing")


async def broken(_: Request) -> Response:
    raise RuntimeError("the password is hunter2")


async def authenticate(request: Request) -> Principal:
    match bearer_token(request):
        case "customer" | "operator" as role:
            return Principal(subject="u", tenant=TenantId(uuid4()), roles=frozenset({role}))
        case _:
            raise Unauthenticated("a bearer token is required")


@pytest.fixture
def client() -> TestClient:
    app = build_app(
        [
            Guarded(method="POST", path="/t", roles=frozenset({"customer"}), handler=make),
            Open(method="GET", path="/missing/{id}", why="test", handler=missing),
            Open(method="GET", path="/broken", why="test", handler=broken),
        ],
        authenticate,
    )
    return TestClient(app, raise_server_exceptions=False)


def as_role(role: str) -> dict[str, str]:
    return {"authorization": f"Bearer {role}"}


def test_guarded_route_lets_its_role_in(client: TestClient) -> None:
    response = client.post("/t", json={"name": "lamp"}, headers=as_role("customer"))

    assert (response.status_code, response.json()["name"]) == (201, "lamp")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (as_role("forged"), 401),
        ({"authorization": "Basic x"}, 401),
        (as_role("operator"), 403),
    ],
)
def test_guarded_route_refuses(client: TestClient, headers: dict[str, str], status: int) -> None:
    response = client.post("/t", json={"name": "lamp"}, headers=headers)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"[]", 400),
        (b'{"name": 1}', 400),
        (b'{"name": NaN}', 400),
        (b'{"name": "a\\u0000b"}', 400),
        (b'{"name": "\\ud800"}', 400),
        (b'{"name": "\xff"}', 400),
        (b"[" * 90, 400),
        (b'{"name": "' + b"x" * 200 + b'"}', 413),
    ],
)
def test_bad_bodies_get_a_clear_answer(client: TestClient, body: bytes, status: int) -> None:
    response = client.post("/t", content=body, headers=as_role("customer"))

    assert response.status_code == status
    assert response.json()["status"] == status


def test_problem_is_rfc_9457(client: TestClient) -> None:
    response = client.get("/missing/1", headers={"x-request-id": "request-1234"})

    assert response.json() == {
        "type": "urn:pulse:problem:not_found",
        "title": "There is nothing here",
        "status": 404,
        "detail": "no such thing",
        "instance": "urn:pulse:request:request-1234",
    }
    assert response.headers["x-request-id"] == "request-1234"


def test_bug_leaks_nothing(client: TestClient) -> None:
    response = client.get("/broken", headers={"x-request-id": "request-1234"})

    assert response.status_code == 500
    assert response.json()["instance"] == "urn:pulse:request:request-1234"
    assert "hunter2" not in response.text
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/no", 404), ("PUT", "/t", 405)])
def test_unknown_paths_and_methods_are_problems_too(
    client: TestClient, method: str, path: str, status: int
) -> None:
    response = client.request(method, path)

    assert (response.status_code, response.json()["status"]) == (status, status)


def test_hostile_request_id_is_replaced(client: TestClient) -> None:
    response = client.get("/missing/1", headers={"x-request-id": 'x"}\r {"y": 1'})

    assert response.headers["x-request-id"].isalnum()


def test_metrics_name_routes_not_paths(client: TestClient) -> None:
    client.get("/missing/abc")

    labels = {"method": "GET", "route": "/missing/{id}", "status": "404"}
    assert REGISTRY.get_sample_value("pulse_http_requests_total", labels)
