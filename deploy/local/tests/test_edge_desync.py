"""Request smuggling: one connection never gets a service to see a request that the edge did not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from deploy.local.tests.desync import FILE, Vector, vectors
from deploy.local.tests.edge_client import exchange

if TYPE_CHECKING:
    from deploy.local.tests.edge_client import Edge
    from deploy.local.tests.upstreams import Seens

# What net/http says itself: 501 to a transfer coding that it does not know (RFC 9112, 6.1), 505 to another HTTP.
REFUSALS = {400, 405, 408, 413, 417, 421, 431, 499, 501, 505}
# llhttp is stricter than RFC 9112 here, and net/http takes them as it may; the service sees one clean request.
TOLERATED = {
    2: "HTTP/1.0 ends the connection: what follows is not read",
    59: "a bare LF ends a header line (RFC 9112, 2.2)",
    62: "a bare LF ends a line (RFC 9112, 2.2)",
    64: "a folded header line is joined by a space (RFC 9112, 5.2)",
    117: "bare LFs and folded lines",
    132: "an empty chunk extension is dropped",
    161: "raw UTF-8 in a path is percent-encoded",
}
STRICT = [vector for vector in vectors() if vector.strict_error]

pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"{FILE} is not here: NOT tested")


def _id(vector: Vector) -> str:
    return f"{vector.number}-{vector.strict_error}"


@pytest.mark.parametrize("vector", STRICT, ids=_id)
@pytest.mark.parametrize("form", ["as_it_is", "at_our_host"])
def test_disputed_request_gets_one_refusal_and_a_closed_connection(
    edge: Edge, seen: Seens, vector: Vector, form: str
) -> None:
    request = vector.raw if form == "as_it_is" else vector.at(edge.host)

    with edge.connect("http/1.1") as connection:
        # exchange() returns only when the edge has closed the connection.
        statuses = _statuses(exchange(connection, request))

    assert len(statuses) <= 1
    assert len(seen.requests) <= 1
    if vector.number not in TOLERATED:
        assert set(statuses) <= REFUSALS
        assert seen.requests == []
    for request_seen in seen.requests:
        assert not {"content-length", "transfer-encoding"} <= set(request_seen.headers)
        assert "GET" not in "".join(request_seen.headers.values())


@pytest.mark.parametrize(
    "first",
    [
        "POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 0\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\n\r\nabc",
        "DELETE /x HTTP/1.1\r\nHost: {host}\r\n\r\n",
        "POST /x HTTP/1.1\r\nHost: {host}\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
        "POST /x HTTP/1.1\r\nHost: {host}\r\nFoo: a\r\n Content-Length: 60\r\n\r\n",
    ],
)
def test_what_follows_a_request_with_a_body_is_never_a_second_request(
    edge: Edge, seen: Seens, first: str
) -> None:
    second = f"GET /smuggled HTTP/1.1\r\nHost: {edge.host}\r\n\r\n"

    with edge.connect("http/1.1") as connection:
        answer = exchange(connection, (first.format(host=edge.host) + second).encode())

    assert len(_statuses(answer)) == 1
    assert "/smuggled" not in [one.target for one in seen.requests]


def test_length_and_chunks_together_are_one_request_that_the_service_reads_as_the_edge_did(
    edge: Edge, seen: Seens
) -> None:
    head = f"POST /x HTTP/1.1\r\nHost: {edge.host}\r\nContent-Length: 4\r\n"
    body = "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"

    with edge.connect("http/1.1") as connection:
        answer = exchange(connection, (head + body).encode())

    assert len(_statuses(answer)) == 1
    assert [one.target for one in seen.requests] in ([], ["/x"])
    for one in seen.requests:
        assert not {"content-length", "transfer-encoding"} <= set(one.headers)


def test_corpus_is_whole() -> None:
    assert len(STRICT) == 58


def _statuses(answer: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", answer)]
