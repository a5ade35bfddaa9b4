"""The plain port: revocation lists for everybody, and a redirect for everything else."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.edge_client import exchange, status_of

if TYPE_CHECKING:
    from deploy.local.tests.edge_process import RunningEdge
    from deploy.local.tests.upstreams import Seens


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_revocation_lists_are_served_over_plain_http(
    running: RunningEdge, seen: Seens, method: str
) -> None:
    answer = _plain(running, "/pki/issuing.crl", method)

    assert status_of(answer) == 200
    assert seen.names() == ["cert_worker"]


def test_plain_http_takes_questions_about_certificates(running: RunningEdge, seen: Seens) -> None:
    assert status_of(_plain(running, "/pki/ocsp", "POST")) == 200
    assert seen.names() == ["cert_worker"]
    assert status_of(_plain(running, "/pki/ocsp", "PUT")) == 405
    assert status_of(_plain(running, "/pki/ocsp/x", "POST")) == 405


@pytest.mark.parametrize("asked", ["MEow%2BSDBG", "MEow+SDBG/x//y==", "MEow%2fSDBG%2F%2f%3D%3d"])
def test_questions_in_the_path_pass_as_they_are_written(
    running: RunningEdge, seen: Seens, asked: str
) -> None:
    assert status_of(_plain(running, f"/pki/ocsp/{asked}", "GET")) == 200
    assert seen.names() == ["cert_worker"]
    assert [one.target for one in seen.requests] == [f"/pki/ocsp/{asked}"]


@pytest.mark.parametrize(
    "asked",
    [
        "..%2fbundle.pem",
        "../bundle.pem",
        "a%2f..%2fb",
        "a;b",
        "a%00/b",
        "a%25/b",
        "a/%5cb",
        "a/./b",
    ],
)
def test_nothing_but_base64_hides_in_a_question(
    running: RunningEdge, seen: Seens, asked: str
) -> None:
    assert status_of(_plain(running, f"/pki/ocsp/{asked}", "GET")) == 400
    assert seen.names() == []


def test_plain_http_takes_no_writes(running: RunningEdge, seen: Seens) -> None:
    assert status_of(_plain(running, "/pki/issuing.crl", "POST")) == 405
    assert seen.names() == []


@pytest.mark.parametrize(
    "target", ["/pki/..%2fapi/v1/internal/x", "/pki/../api/v1/internal/x", "//evil.example/pki/x"]
)
def test_plain_http_refuses_ambiguous_paths(running: RunningEdge, seen: Seens, target: str) -> None:
    assert status_of(_plain(running, target, "GET")) == 400
    assert seen.names() == []


def test_everything_else_is_redirected_to_our_own_https_address(
    running: RunningEdge, seen: Seens
) -> None:
    answer = _plain(running, "/devices?x=1", "GET")

    assert status_of(answer) == 308
    assert (
        f"location: https://localhost:{running.ports.edge_https}/devices?x=1\r\n".encode()
        in answer.lower()
    )
    assert seen.names() == []


def _plain(running: RunningEdge, target: str, method: str) -> bytes:
    with socket.create_connection(("127.0.0.1", running.ports.edge_http), timeout=10) as connection:
        request = f"{method} {target} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n"
        return exchange(connection, request.encode())
