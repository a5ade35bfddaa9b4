"""Headers: what a service may take for the edge's word never comes from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.edge_client import http1, status_of

if TYPE_CHECKING:
    from deploy.local.tests.edge_client import Edge
    from deploy.local.tests.upstreams import Seens

SPOOFED = [
    "X-Forwarded-For: 203.0.113.9",
    "x-forwarded-for: 203.0.113.8",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: evil.example",
    "X-Forwarded-Port: 1",
    "X-Forwarded-Prefix: /evil",
    "X-Forwarded: for=203.0.113.9",
    "X_Forwarded_For: 203.0.113.9",
    "Forwarded: for=203.0.113.9",
    "X-Real-IP: 203.0.113.9",
    "True-Client-IP: 203.0.113.9",
    "CF-Connecting-IP: 203.0.113.9",
    "X-Cluster-Client-IP: 203.0.113.9",
    "X-Original-URL: /api/v1/internal/mqtt-auth",
    "X-Rewrite-URL: /api/v1/internal/mqtt-auth",
    "X-HTTP-Method-Override: DELETE",
    "X-Client-Cert: forged",
    "X-Client-Cert-Chain: forged",
    "Client-Cert: :forged:",
    "Client-Cert-Chain: :forged:",
    "X-SSL-Client-S-DN: CN=forged",
    "SSL-Client-Cert: forged",
    "X-Auth-Request-User: forged",
    "X-Remote-User: forged",
    "X-Pulse-Tenant: forged",
    "X-PULSE-Actor: forged",
    "X_Pulse_Admin_Key: forged",
    "Via: 1.1 forged",
    "Proxy: http://evil.example",
    "Accept-Encoding: gzip, br",
]
DOORS = ["/", "/api/v1/provision/devices", "/webhooks/stripe", "/realms/pulse/x", "/resources/x"]
ADDED_BY_THE_EDGE = {"x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-request-id"}


@pytest.mark.parametrize("target", DOORS)
def test_headers_that_services_trust_come_from_the_edge_alone(
    edge: Edge, seen: Seens, target: str
) -> None:
    http1(edge, target, lines=[*SPOOFED, "X-Request-Id: forged-request-id", "X-Own: kept"])

    headers = seen.requests[0].headers
    assert set(headers) == ADDED_BY_THE_EDGE | {"host", "x-own"}
    assert headers["x-forwarded-for"] == "127.0.0.1"
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-host"] == edge.host
    assert headers["x-request-id"] != "forged-request-id"


@pytest.mark.parametrize("name", sorted(ADDED_BY_THE_EDGE))
def test_connection_header_cannot_remove_what_the_edge_says(
    edge: Edge, seen: Seens, name: str
) -> None:
    http1(edge, "/", lines=[f"Connection: close, {name}"])

    assert set(seen.requests[0].headers) >= ADDED_BY_THE_EDGE


def test_every_request_gets_an_id_of_its_own(edge: Edge, seen: Seens) -> None:
    http1(edge, "/", lines=["X-Request-Id: same"])
    http1(edge, "/", lines=["X-Request-Id: same"])

    assert len({one.headers["x-request-id"] for one in seen.requests} | {"same"}) == 3


def test_admin_key_passes_the_provisioning_door_word_for_word(edge: Edge, seen: Seens) -> None:
    # A placeholder of Caddy's in what a client sends is only text.
    key = "key {env.HOME} {http.request.host}"

    http1(edge, "/api/v1/provision/x", lines=[f"X-Pulse-Admin-Key: {key}", "X-Pulse-Other: x"])

    assert seen.requests[0].headers["x-pulse-admin-key"] == key
    assert "x-pulse-other" not in seen.requests[0].headers


@pytest.mark.parametrize(
    "target",
    [
        "/.well-known/est/factory/simpleenroll",
        "/webhooks/stripe",
        "/realms/pulse/x",
        "/api/v2/devices",
        "/",
    ],
)
def test_admin_key_passes_no_other_door(edge: Edge, seen: Seens, target: str) -> None:
    http1(edge, target, lines=["X-Pulse-Admin-Key: very-secret"])

    assert "x-pulse-admin-key" not in seen.requests[0].headers


def test_placeholder_in_a_path_is_only_text(edge: Edge, seen: Seens) -> None:
    assert status_of(http1(edge, "/devices/{env.HOME}?x={env.HOME}")) == 200
    assert seen.requests[0].target == "/devices/%7Benv.HOME%7D?x={env.HOME}"


@pytest.mark.parametrize("target", ["/api/v1/provision/devices", "/webhooks/stripe"])
def test_machines_doors_pass_no_cookies_and_no_upgrades(
    edge: Edge, seen: Seens, target: str
) -> None:
    lines = ["Cookie: __Host-session=x", "Authorization: Bearer t", "Upgrade: websocket"]

    http1(edge, target, lines=[*lines, "Connection: upgrade"])

    assert set(seen.requests[0].headers) == ADDED_BY_THE_EDGE | {"host", "authorization"}


@pytest.mark.parametrize("protocol", ["h2c", "TLS/1.0", "websocket, h2c", "PulseTunnel"])
def test_nothing_but_a_websocket_upgrades_the_connection(
    edge: Edge, seen: Seens, protocol: str
) -> None:
    lines = [f"Upgrade: {protocol}", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: x"]

    http1(edge, "/", lines=lines)

    assert "upgrade" not in seen.requests[0].headers


@pytest.mark.parametrize("target", ["/", "/metrics", "//", "/realms/master", "/api/v1/provision/x"])
def test_answers_do_not_name_servers_and_localhost_gets_no_hsts(
    edge: Edge, seen: Seens, target: str
) -> None:
    head = http1(edge, target).split(b"\r\n\r\n")[0].lower()

    for name in (b"server", b"via", b"x-powered-by", b"strict-transport-security", b"alt-svc"):
        assert b"\r\n" + name + b":" not in head
