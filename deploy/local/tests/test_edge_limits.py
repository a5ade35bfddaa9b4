"""Limits: no client is too large or too slow for long, and no TLS is too old."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.edge_client import exchange, http1, http2_status, status_of
from deploy.local.tests.edge_process import ROOT

from pulse_local.binaries import find_binary

if TYPE_CHECKING:
    from deploy.local.tests.edge_client import Edge
    from deploy.local.tests.upstreams import Seens

# A TLS 1.1 ClientHello, and what RFC 5246 answers it with: a fatal alert, protocol_version.
_OLD_HELLO = bytes.fromhex("16030200310100002d0302" + "00" * 32 + "000006002f0035000a0100")
_FATAL_PROTOCOL_VERSION = bytes([2, 70])


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


def test_headers_without_end_are_refused_over_http2_too(edge: Edge, seen: Seens) -> None:
    # One header of 126 bytes often enough: HPACK's lengths stay in one byte.
    status = http2_status(edge, "/", headers=[(f"x-{n}", "x" * 120) for n in range(200)])

    assert status in {0, 431}
    assert seen.names() == []


@pytest.mark.parametrize("sent", ["", "GET / HT", "GET / HTTP/1.1\r\nHost: {host}\r\nX-Slow: "])
def test_head_that_never_ends_ends_its_connection(edge: Edge, seen: Seens, sent: str) -> None:
    started = time.monotonic()

    with edge.connect("http/1.1") as connection:
        answer = exchange(connection, sent.format(host=edge.host).encode())

    assert time.monotonic() - started < 5
    assert status_of(answer) in {0, 400, 408}
    assert seen.names() == []


def test_head_by_drops_ends_its_connection(edge: Edge, seen: Seens) -> None:
    started = time.monotonic()

    with edge.connect("http/1.1") as connection, pytest.raises(OSError, match=r".*"):
        connection.sendall(f"GET / HTTP/1.1\r\nHost: {edge.host}\r\n".encode())
        while time.monotonic() - started < 8:
            connection.sendall(b"X-Slow: x\r\n")
            time.sleep(0.1)

    assert time.monotonic() - started < 5
    assert seen.names() == []


def test_chunked_body_that_stops_ends_its_connection(edge: Edge, seen: Seens) -> None:
    started = time.monotonic()

    answer = http1(
        edge, "/api/v2/x", method="POST", lines=["Transfer-Encoding: chunked"], body=b"a\r\nhalf"
    )

    assert time.monotonic() - started < 6
    assert status_of(answer) in {0, 400, 408, 499}
    assert seen.names() == []


def test_service_never_hears_of_a_body_that_stops(edge: Edge, seen: Seens) -> None:
    # The client's own connection stays until the client closes it: net/http's doing, see docs/operations/edge.md.
    with edge.connect("http/1.1") as connection:
        connection.sendall(
            f"POST /x HTTP/1.1\r\nHost: {edge.host}\r\nContent-Length: 9\r\n\r\nhalf".encode()
        )
        answer = connection.recv(65_536)

    assert status_of(answer) in {400, 408, 499}
    assert b"connection: close" in answer.lower()
    assert seen.names() == []


def test_idle_connection_is_closed(edge: Edge, seen: Seens) -> None:
    started = time.monotonic()

    with edge.connect("http/1.1") as connection:
        answer = exchange(connection, f"GET / HTTP/1.1\r\nHost: {edge.host}\r\n\r\n".encode())

    assert status_of(answer) == 200
    assert time.monotonic() - started < 5


def test_old_tls_is_refused(edge: Edge) -> None:
    with socket.create_connection(("127.0.0.1", edge.port), timeout=5) as connection:
        answer = exchange(connection, _OLD_HELLO)

    assert answer[0] == 21
    assert answer[5:7] == _FATAL_PROTOCOL_VERSION


def test_production_values_are_these() -> None:
    names = ("UI_IOT", "PROVISION_API", "CERT_WORKER", "BILLING_WEBHOOKS", "IDENTITY_PROVIDER")
    given = {f"{name}_UPSTREAM": "localhost:8080" for name in names}
    given |= {"EDGE_SITE": "https://pulse.example", "EDGE_HOST": "pulse.example"}
    given |= {"EDGE_TLS": "internal", "HOME": "/nonexistent"}

    adapted = subprocess.run(
        [find_binary("caddy"), "adapt", "--config", str(ROOT / "deploy/caddy/Caddyfile")],
        env=given,
        check=True,
        capture_output=True,
    ).stdout

    text = adapted.decode()
    assert '"max-age=63072000; includeSubDomains"' in text
    assert '"ranges":["255.255.255.255/32"]' in text
    assert '"encode"' not in text
    for server in json.loads(adapted)["apps"]["http"]["servers"].values():
        assert server["protocols"] == ["h1", "h2"]
        seconds = {name: server[name] / 1e9 for name in server if name.endswith("timeout")}
        assert seconds == {
            "read_header_timeout": 10,
            "read_timeout": 30,
            "write_timeout": 120,
            "idle_timeout": 120,
        }
        assert "trusted_proxies" not in server
        for policy in server.get("tls_connection_policies", []):
            assert (policy["protocol_min"], policy["protocol_max"]) == ("tls1.2", "tls1.3")
