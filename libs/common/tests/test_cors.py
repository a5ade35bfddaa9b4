from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from pulse_common.cors import CorsSettings, add_cors
from pulse_common.settings import ServiceSettings, SettingsError, load

if TYPE_CHECKING:
    from starlette.requests import Request

FRIEND = "https://app.example.com"
COMMON = {
    "PULSE_ENV": "development",
    "HTTP_PORT": "8080",
    "DATABASE_URL": "postgresql://somebody@somewhere",
    "NATS_URL": "nats://localhost:4222",
    "NATS_USER": "somebody",
    "NATS_PASSWORD": "x" * 16,
}


class Settings(CorsSettings, ServiceSettings):
    pass


async def answer(_: Request) -> Response:
    return PlainTextResponse("secret", headers={"vary": "Cookie"})


def client(**values: str) -> TestClient:
    app = Starlette(routes=[Route("/", answer, methods=["GET", "PUT"])])
    add_cors(app, load(Settings, COMMON | values))
    return TestClient(app)


@pytest.fixture
def friendly() -> TestClient:
    return client(
        CORS_ALLOWED_ORIGINS=f"{FRIEND}, http://localhost:5173",
        CORS_ALLOWED_HEADERS="Authorization, Content-Type",
        CORS_ALLOW_CREDENTIALS="true",
    )


def preflight(browser: TestClient, origin: str, method: str, headers: str | None) -> Response:
    asked = {"origin": origin, "access-control-request-method": method}
    if headers is not None:
        asked["access-control-request-headers"] = headers
    response = browser.options("/", headers=asked)
    return Response(response.content, response.status_code, dict(response.headers))


@pytest.mark.parametrize(
    "origins",
    [
        "*",
        "null",
        "Null",
        "https://*.example.com",
        f"{FRIEND},*",
        "http://app.example.com",
        f"{FRIEND}/",
        f"{FRIEND}/path",
        f"{FRIEND}:443",
        f"{FRIEND}:port",
        "https://APP.example.com",
        "https://user@app.example.com",
        "https://",
        "https://bücher.example",
        "app.example.com",
        "file://",
    ],
)
def test_an_origin_that_is_no_single_page_host_stops_the_service(origins: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ALLOWED_ORIGINS"):
        load(Settings, COMMON | {"CORS_ALLOWED_ORIGINS": origins})


@pytest.mark.parametrize("headers", ["*", "Authorization, *", "a b", "x:y", "é"])
def test_a_header_wildcard_or_non_name_stops_the_service(headers: str) -> None:
    with pytest.raises(SettingsError, match="CORS_ALLOWED_HEADERS"):
        load(Settings, COMMON | {"CORS_ALLOWED_HEADERS": headers})


def test_a_preflight_is_not_remembered_for_longer_than_two_hours() -> None:
    with pytest.raises(SettingsError, match="CORS_MAX_AGE_SECONDS"):
        load(Settings, COMMON | {"CORS_MAX_AGE_SECONDS": "7201"})


def test_by_default_no_origin_is_let_read() -> None:
    response = client().get("/", headers={"origin": FRIEND})

    assert not [name for name in response.headers if name.startswith("access-control")]


def test_a_listed_origin_reads_with_credentials(friendly: TestClient) -> None:
    response = friendly.get("/", headers={"origin": FRIEND})

    assert response.headers["access-control-allow-origin"] == FRIEND
    assert response.headers["access-control-allow-credentials"] == "true"
    assert "ratelimit" in response.headers["access-control-expose-headers"]


def test_credentials_are_off_unless_asked_for() -> None:
    response = client(CORS_ALLOWED_ORIGINS=FRIEND).get("/", headers={"origin": FRIEND})

    assert response.headers["access-control-allow-origin"] == FRIEND
    assert "access-control-allow-credentials" not in response.headers


@pytest.mark.parametrize(
    "origin",
    [
        None,
        "null",
        "https://evil.example",
        f"{FRIEND}.evil.example",
        f"{FRIEND}:8443",
        "http://app.example.com",
        FRIEND.upper(),
        f"{FRIEND}, https://evil.example",
    ],
)
def test_a_stranger_learns_nothing_and_caches_tell_them_apart(
    friendly: TestClient, origin: str | None
) -> None:
    response = friendly.get("/", headers={"origin": origin} if origin else {})

    assert not [name for name in response.headers if name.startswith("access-control")]
    assert response.headers["vary"] == "Cookie, Origin"


def test_two_origin_headers_are_no_origin(friendly: TestClient) -> None:
    response = friendly.get("/", headers=[("origin", FRIEND), ("origin", "https://evil.example")])

    assert "access-control-allow-origin" not in response.headers


def test_a_preflight_gets_exactly_the_listed_headers(friendly: TestClient) -> None:
    response = preflight(friendly, FRIEND, "PUT", "authorization,content-type")

    assert response.status_code == 204
    assert response.headers["access-control-allow-origin"] == FRIEND
    assert response.headers["access-control-allow-headers"] == "authorization, content-type"
    assert response.headers["access-control-max-age"] == "600"
    assert response.headers["access-control-allow-credentials"] == "true"
    assert response.headers["vary"].startswith("Origin")


@pytest.mark.parametrize(
    ("origin", "method", "headers"),
    [
        ("https://evil.example", "PUT", "authorization"),
        ("null", "GET", None),
        (FRIEND, "TRACE", None),
        (FRIEND, "put", None),
        (FRIEND, "PUT", "x-pulse-admin-key"),
        (FRIEND, "PUT", "authorization, *"),
    ],
)
def test_a_preflight_for_more_than_is_listed_is_refused(
    friendly: TestClient, origin: str, method: str, headers: str | None
) -> None:
    response = preflight(friendly, origin, method, headers)

    assert response.status_code == 403
    assert response.headers["vary"].startswith("Origin")
    assert not [name for name in response.headers if name.startswith("access-control")]


def test_content_type_is_not_allowed_unless_listed() -> None:
    browser = client(CORS_ALLOWED_ORIGINS=FRIEND)

    assert preflight(browser, FRIEND, "PUT", "content-type").status_code == 403
