"""What a service's own server does with disputed requests when no edge is in front: the rest is the edge's work."""

from __future__ import annotations

import re
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import uvicorn
from deploy.local.tests.desync import FILE, Vector, vectors
from deploy.local.tests.edge_client import exchange
from tests.parts import free_port, wait_for_port

from pulse_common.health import Readiness, endpoints
from pulse_common.http import build_app
from pulse_common.runtime import server_config
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    from collections.abc import Iterator


pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is not here: NOT tested")
STRICT = [vector for vector in vectors() if vector.strict_error]


@pytest.fixture(scope="module")
def service() -> Iterator[int]:
    port = free_port()
    app = build_app(endpoints(Readiness()), lambda _: FakeVerifier({}).verify(""))
    server = uvicorn.Server(server_config(app, "127.0.0.1", port))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_for_port(port)
    yield port
    server.should_exit = True
    thread.join()


@pytest.mark.parametrize(
    "vector", STRICT, ids=lambda vector: f"{vector.number}-{vector.strict_error}"
)
def test_disputed_request_gets_one_answer_at_most(service: int, vector: Vector) -> None:
    assert len(_statuses(_answer(service, vector.at("localhost")))) <= 1


def test_headers_have_a_limit_without_the_edge_too(service: int) -> None:
    request = f"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: {'x' * 200_000}\r\n\r\n"

    assert _statuses(_answer(service, request.encode())) in ([400], [])


def test_half_a_head_is_waited_for_so_that_only_the_edge_ends_it(service: int) -> None:
    # Hazard 26. When this fails, uvicorn has learned it, and docs/operations/edge.md may say so.
    with socket.create_connection(("127.0.0.1", service), timeout=3) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-Half: ")
        with pytest.raises(TimeoutError):
            connection.recv(1)


def _answer(port: int, request: bytes) -> bytes:
    """Send, and say that nothing more comes: a server that wants more has all it will get."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(request)
        with suppress(OSError):  # it has answered and gone already
            connection.shutdown(socket.SHUT_WR)
        return exchange(connection, b"")


def _statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]
