"""The edge's doors: which path leads to which service, and that no spelling of a path opens a closed one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.edge_client import Edge, exchange, http1, http2_status, status_of

if TYPE_CHECKING:
    from deploy.local.tests.upstreams import Seens

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
    "/api/v1/internal/mqtt-auth%20",
    "/api/v1/internal./mqtt-auth",
    "/api/v1/internal%20/mqtt-auth",
    "/api/v1/internal;x=1/mqtt-auth",
    "/api/v1/internal%3bx/mqtt-auth",
    "/api/v1/%2569nternal/mqtt-auth",
    "/api/v1/..%c0%af../api/v1/internal/mqtt-auth",
    "/api/v1/internal%0d%0a/mqtt-auth",
    "/api/v1/internal%09",
]


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
        ("/realms/pulse/protocol/openid-connect/auth?state=very-secret", "idp"),
        ("/administration", "ui_iot"),
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
