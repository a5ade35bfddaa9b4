"""The edge's doors: deploy/caddy/Caddyfile in a real Caddy, with fake services behind it."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.edge_client import Edge, exchange, http1, http2_status, status_of
from deploy.local.tests.upstreams import Seens, serve_upstreams

from pulse_local.caddy import caddy_command
from pulse_local.environments import Environments
from pulse_local.leftovers import Registry
from pulse_local.ports import Ports, find_free_base, ports_from
from pulse_local.processes import Part
from pulse_local.secrets import load_or_create_secrets
from pulse_local.tls import ensure_tls_files

if TYPE_CHECKING:
    from collections.abc import Iterator

UPSTREAMS = ("ui_iot", "provision_api", "cert_worker", "mqtt_authz", "billing_webhooks", "idp")

TRICKY = [
    "/api/v1/internal",
    "/api/v1/internal/",
    "/api/v1/internal/mqtt-auth",
    "/API/V1/INTERNAL/mqtt-auth",
    "/api/v1/Internal/mqtt-acl?x=1",
    "//api/v1/internal/mqtt-auth",
    "/api//v1/internal/mqtt-auth",
    "/api/v1/internal//mqtt-auth",
    "/api/v1%2finternal/mqtt-auth",
    "/api%2Fv1%2Finternal%2Fmqtt-auth",
    "/api/v1/internal%2fmqtt-auth",
    "/api/v1/%69nternal/mqtt-auth",
    "/%61pi/v1/internal/mqtt-auth",
    "/api/v1/provision/../internal/mqtt-auth",
    "/api/v1/./internal/mqtt-auth",
    "/api/v1/provision/%2e%2e/internal/mqtt-auth",
    "/api/v1/provision/.%2E/internal/mqtt-auth",
    "/realms/..%2fapi/v1/internal/mqtt-auth",
    "/webhooks/stripe/../../api/v1/internal/mqtt-auth",
    "/x/%2e%2e/api/v1/internal/mqtt-auth",
    "/api/v1/provision/..;/internal/mqtt-auth",
    "/api/v1/provision/%252e%252e/internal/mqtt-auth",
    "/api/v1%252finternal/mqtt-auth",
    "/api\\v1\\internal\\mqtt-auth",
    "/api/v1/internal%00/mqtt-auth",
    "/api/v1/internal/..",
    "/api/v1/internal/mqtt-auth/.",
]


@pytest.fixture(scope="module")
def ports() -> Ports:
    return ports_from(find_free_base())


@pytest.fixture(scope="module")
def edge(ports: Ports) -> Iterator[Edge]:
    folder = Path(tempfile.mkdtemp(prefix="pulse-test-"))
    tls = ensure_tls_files(folder / "tls", datetime.fromtimestamp(time.time(), UTC))
    environments = Environments(
        ports=ports, secrets=load_or_create_secrets(folder / "secrets.json"), tls=tls, data=folder
    )
    command = caddy_command(
        repository=Path(__file__).resolve().parents[3],
        ports=ports,
        storage=folder / "caddy",
        environment=environments.of_caddy(),
    )
    part = Part(command, logs=folder / "logs", registry=Registry(folder / "run" / "parts.json"))
    part.start()
    yield Edge(port=ports.edge_https, ca=tls.ca, host=f"localhost:{ports.edge_https}")
    part.stop()
    log = part.log.read_text()
    shutil.rmtree(folder)
    # Every test above sent secrets of this kind; none may be in the log.
    assert "very-secret" not in log


@pytest.fixture
def seen(upstreams: Seens) -> Seens:
    upstreams.requests.clear()
    return upstreams


@pytest.fixture(scope="module")
def upstreams(ports: Ports) -> Iterator[Seens]:
    numbers = ports.by_part()
    with serve_upstreams({name: numbers[name] for name in UPSTREAMS}) as seens:
        yield seens


@pytest.mark.parametrize(
    ("target", "upstream"),
    [
        ("/", "ui_iot"),
        ("/devices/1?tab=live", "ui_iot"),
        ("/api/v2/devices", "ui_iot"),
        ("/auth/callback?code=very-secret&state=very-secret", "ui_iot"),
        ("/api/v1/provision/devices", "provision_api"),
        ("/.well-known/est/factory/simpleenroll", "provision_api"),
        ("/webhooks/stripe", "billing_webhooks"),
        ("/webhooks/other", "ui_iot"),
        ("/realms/pulse/.well-known/openid-configuration", "idp"),
        ("/resources/theme.css", "idp"),
        ("/admin/master/console", "ui_iot"),
        ("/pki/root.crl", "ui_iot"),
    ],
)
def test_each_path_has_one_door(edge: Edge, seen: Seens, target: str, upstream: str) -> None:
    answer = http1(edge, target)

    assert status_of(answer) == 200
    assert [(one.upstream, one.target) for one in seen.requests] == [(upstream, target)]


@pytest.mark.parametrize("target", TRICKY)
def test_brokers_door_is_shut_however_it_is_spelled(edge: Edge, seen: Seens, target: str) -> None:
    status = status_of(http1(edge, target))

    assert status in {400, 404}
    assert seen.names() == []


@pytest.mark.parametrize("target", TRICKY)
def test_brokers_door_is_shut_over_http2_too(edge: Edge, seen: Seens, target: str) -> None:
    status = http2_status(edge, target)

    assert status in {0, 400, 404}
    assert seen.names() == []


def test_http2_reaches_the_ordinary_doors(edge: Edge, seen: Seens) -> None:
    assert http2_status(edge, "/devices") == 200
    assert http2_status(edge, "/api/v1/provision/devices") == 200
    assert seen.names() == ["ui_iot", "provision_api"]


@pytest.mark.parametrize(
    "target", ["/metrics", "/readyz", "/healthz", "/METRICS", "/readyz/", "/HealthZ"]
)
def test_numbers_and_dependencies_are_for_the_inside(edge: Edge, seen: Seens, target: str) -> None:
    assert status_of(http1(edge, target)) == 404
    assert seen.names() == []


@pytest.mark.parametrize(
    "target", ["https://localhost/api/v1/internal/x", "http://mqtt_authz/api/v1/internal/x", "*"]
)
def test_unusual_request_lines_reach_nobody(edge: Edge, seen: Seens, target: str) -> None:
    assert status_of(http1(edge, target)) in {400, 404, 421}
    assert seen.names() == []


def test_another_host_name_is_refused(edge: Edge, seen: Seens) -> None:
    stranger = Edge(port=edge.port, ca=edge.ca, host="evil.example")

    assert status_of(http1(stranger, "/")) == 421
    assert seen.names() == []


def test_headers_that_services_trust_come_from_the_edge_alone(edge: Edge, seen: Seens) -> None:
    http1(
        edge,
        "/",
        lines=[
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-Proto: http",
            "X-Forwarded-Host: evil.example",
            "X-Forwarded-Prefix: /evil",
            "X_Forwarded_For: 203.0.113.9",
            "Forwarded: for=203.0.113.9",
            "X-Real-IP: 203.0.113.9",
            "X-Original-URL: /api/v1/internal/mqtt-auth",
            "X-Client-Cert: forged",
            "X-Pulse-Admin-Key: very-secret",
            "X-Pulse-Tenant: forged",
            "X-Request-Id: forged",
        ],
    )

    headers = dict(seen.requests[0].headers)
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == edge.host
    assert headers["x-request-id"] != "forged"
    shut = {"forwarded", "x-real-ip", "x-original-url", "x-client-cert", "x_forwarded_for"}
    shut |= {"x-pulse-admin-key", "x-pulse-tenant", "x-forwarded-prefix"}
    assert not shut & set(headers)


def test_admin_key_passes_the_provisioning_door_only(edge: Edge, seen: Seens) -> None:
    key = ["X-Pulse-Admin-Key: very-secret"]

    http1(edge, "/api/v1/provision/devices", lines=key)
    http1(edge, "/realms/pulse", lines=key)

    assert ["x-pulse-admin-key" in one.headers for one in seen.requests] == [True, False]


@pytest.mark.parametrize(
    ("target", "limit"),
    [
        ("/api/v1/provision/enroll", 64_000),
        ("/webhooks/stripe", 512_000),
        ("/api/v2/routes", 1_000_000),
    ],
)
def test_body_over_its_doors_limit_is_cut_off(
    edge: Edge, seen: Seens, target: str, limit: int
) -> None:
    body = b"x" * (limit + 100_000)
    chunked = f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"

    by_length = http1(
        edge, target, method="POST", lines=[f"Content-Length: {len(body)}"], body=body
    )
    by_chunks = http1(
        edge, target, method="POST", lines=["Transfer-Encoding: chunked"], body=chunked
    )

    assert {status_of(by_length), status_of(by_chunks)} <= {413, 0}
    assert all(one.body_bytes <= limit for one in seen.requests)


def test_body_within_the_limit_passes(edge: Edge, seen: Seens) -> None:
    answer = http1(
        edge,
        "/webhooks/stripe",
        method="POST",
        lines=["Content-Length: 300000"],
        body=b"x" * 300_000,
    )

    assert status_of(answer) == 200
    assert seen.requests[0].body_bytes == 300_000


def test_headers_without_end_are_refused(edge: Edge, seen: Seens) -> None:
    answer = http1(edge, "/", lines=[f"X-Long: {'x' * 40_000}"])

    assert status_of(answer) == 431
    assert seen.names() == []


def test_websocket_passes_to_the_ui(edge: Edge, seen: Seens) -> None:
    lines = [
        "GET /live HTTP/1.1",
        f"Host: {edge.host}",
        "Connection: Upgrade",
        "Upgrade: websocket",
    ]
    lines += ["Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="]
    with edge.connect("http/1.1") as connection:
        answer = exchange(connection, "\r\n".join(lines).encode() + b"\r\n\r\nhello\r\n")

    assert answer.startswith(b"HTTP/1.1 101")
    assert answer.endswith(b"echo hello\r\n")
    assert seen.names() == ["ui_iot"]


def test_answers_do_not_name_servers_and_localhost_gets_no_hsts(edge: Edge, seen: Seens) -> None:
    head = http1(edge, "/").split(b"\r\n\r\n")[0].lower()

    assert b"\r\nserver:" not in head
    assert b"strict-transport-security" not in head


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_revocation_lists_are_served_over_plain_http(
    ports: Ports, edge: Edge, seen: Seens, method: str
) -> None:
    answer = _plain(ports, "/pki/issuing.crl", method)

    assert status_of(answer) == 200
    assert seen.names() == ["cert_worker"]


def test_plain_http_takes_no_writes(ports: Ports, edge: Edge, seen: Seens) -> None:
    assert status_of(_plain(ports, "/pki/issuing.crl", "POST")) == 405
    assert seen.names() == []


@pytest.mark.parametrize(
    "target", ["/pki/..%2fapi/v1/internal/x", "/pki/../api/v1/internal/x", "//evil.example/pki/x"]
)
def test_plain_http_refuses_ambiguous_paths(
    ports: Ports, edge: Edge, seen: Seens, target: str
) -> None:
    assert status_of(_plain(ports, target, "GET")) == 400
    assert seen.names() == []


def test_everything_else_is_redirected_to_our_own_https_address(
    ports: Ports, edge: Edge, seen: Seens
) -> None:
    answer = _plain(ports, "/devices?x=1", "GET")

    assert status_of(answer) == 308
    assert (
        f"location: https://localhost:{ports.edge_https}/devices?x=1\r\n".encode() in answer.lower()
    )
    assert seen.names() == []


def _plain(ports: Ports, target: str, method: str) -> bytes:
    with socket.create_connection(("127.0.0.1", ports.edge_http), timeout=10) as connection:
        request = f"{method} {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        return exchange(connection, request.encode())
