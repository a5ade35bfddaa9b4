"""A tiny Pulse: takes the provider's back-channel log-out calls, at the address that the realm names."""

from __future__ import annotations

import queue
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from collections.abc import Iterator

PATH = "/auth/backchannel-logout"
LONGEST_WAIT_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One call: its content type and the token of its form."""

    content_type: str
    token: str


@dataclass(frozen=True, slots=True)
class Receiver:
    port: int
    deliveries: queue.Queue[Delivery] = field(default_factory=queue.Queue)

    @property
    def public_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def forget(self) -> None:
        while not self.deliveries.empty():
            self.deliveries.get_nowait()

    def next(self) -> Delivery:
        return self.deliveries.get(timeout=LONGEST_WAIT_SECONDS)


def running_receiver() -> Iterator[Receiver]:
    """Listen on a free port until the generator is closed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    receiver = Receiver(server.server_address[1])
    _Handler.receivers[receiver.port] = receiver
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    receivers: dict[int, Receiver] = {}  # noqa: RUF012 -- the server makes the handlers, by class only

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", "0"))).decode()
        known = self.path == PATH
        if known:
            (token,) = parse_qs(body)["logout_token"]
            delivery = Delivery(self.headers.get("content-type", ""), token)
            self.receivers[self.server.server_address[1]].deliveries.put(delivery)  # type: ignore[index]
        self.send_response(200 if known else 404)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the overridden name
        """Say nothing."""
