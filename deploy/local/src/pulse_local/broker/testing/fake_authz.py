"""A stand-in for mqtt_authz that answers as the test decides."""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

CLOSE = 0  # the status of a server that closes the connection without an answer
NO_CONTENT = 204
HELD_SECONDS = 4.0
WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Reply:
    body: object = ""
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    body: dict[str, str]


class FakeAuthz:
    """Answers authentication and authorization as the test decides, and remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.authentication = Reply({"result": "allow"})
        self.authorization = Reply({"result": "deny"})
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                fake.calls.append(Call(self.path, headers, body))
                fake.may_answer.wait(HELD_SECONDS)
                self.reply(fake.authentication if self.path == "/auth" else fake.authorization)

            def reply(self, reply: Reply) -> None:
                if reply.status == CLOSE:
                    self.close_connection = True
                    return
                raw = isinstance(reply.body, str)
                data = str(reply.body).encode() if raw else json.dumps(reply.body).encode()
                data = b"" if reply.status == NO_CONTENT else data
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the signature of http.server
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def reset(self) -> None:
        self.calls.clear()
        self.may_answer.set()
        self.authentication = Reply({"result": "allow"})
        self.authorization = Reply({"result": "deny"})

    def wait_for_calls(self, count: int) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        while len(self.calls) < count:
            assert time.monotonic() < deadline, "the broker did not ask"
            time.sleep(0.005)

    def answer_authentication(
        self, body: object = "", status: int = 200, content_type: str = "application/json"
    ) -> None:
        self.authentication = Reply(body, status, content_type)

    def answer_authorization(
        self, body: object = "", status: int = 200, content_type: str = "application/json"
    ) -> None:
        self.authorization = Reply(body, status, content_type)

    def start(self) -> None:
        # A short poll: stopping the server waits for one.
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        self.thread.start()

    def stop(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def asked(self, path: str) -> list[dict[str, str]]:
        return [call.body for call in self.calls if call.path == path]
