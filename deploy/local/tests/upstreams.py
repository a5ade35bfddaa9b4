"""Fake services behind the edge: each remembers what reached it and answers with its own name."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One request as an upstream saw it."""

    upstream: str
    target: str
    headers: Mapping[str, str]
    body_bytes: int


@dataclass
class Seens:
    """Every request that came through the edge."""

    requests: list[Seen] = field(default_factory=list)

    def names(self) -> list[str]:
        return [seen.upstream for seen in self.requests]


@contextmanager
def serve_upstreams(ports: Mapping[str, int]) -> Iterator[Seens]:
    """Listen on each port under its upstream's name."""
    seen = Seens()
    servers = [
        ThreadingHTTPServer(("127.0.0.1", port), _handler(name, seen))
        for name, port in ports.items()
    ]
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    yield seen
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()


def _handler(name: str, seen: Seens) -> type[Upstream]:
    return type("Named", (Upstream,), {"name": name, "seen": seen})


class Upstream(BaseHTTPRequestHandler):
    """Answers everything with its name; a WebSocket handshake with an echo of one line."""

    protocol_version = "HTTP/1.1"
    timeout = 5
    name: str
    seen: Seens

    def do_GET(self) -> None:
        if self.headers.get("upgrade") == "websocket":
            self._remember(0)
            self._echo_one_line()
            return
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_POST  # noqa: N815 - the base class's names

    def _answer(self) -> None:
        try:
            size = len(self._body())
        except ValueError:
            # The edge cut the request off in the middle.
            self.close_connection = True
            return
        self._remember(size)
        body = self.name.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        # A connection kept open would carry the next test's request to this test's memory.
        self.send_header("connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _remember(self, size: int) -> None:
        headers = {key.lower(): value for key, value in self.headers.items()}
        request = Seen(upstream=self.name, target=self.path, headers=headers, body_bytes=size)
        self.seen.requests.append(request)

    def _body(self) -> bytes:
        if self.headers.get("transfer-encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = b""
        while size := int(self.rfile.readline(), 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return body

    def _echo_one_line(self) -> None:
        self.send_response(101)
        self.send_header("connection", "Upgrade")
        self.send_header("upgrade", "websocket")
        self.end_headers()
        self.wfile.write(b"echo " + self.rfile.readline())
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing: the tests' output is for failures."""
