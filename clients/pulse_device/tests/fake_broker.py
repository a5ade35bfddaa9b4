"""A broker of our own: mutual TLS and as much of MQTT 3.1.1 and 5 as a device uses."""

from __future__ import annotations

import contextlib
import json
import queue
import socket
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

CONNECT, PUBLISH, PUBACK, SUBSCRIBE, PINGREQ, DISCONNECT = 1, 3, 4, 8, 12, 14


@dataclass(frozen=True, slots=True)
class Published:
    topic: str
    content: dict[str, Any]
    duplicate: bool
    qos: int


@dataclass(frozen=True, slots=True)
class Connected:
    client_id: str
    version: int
    clean: bool
    certificate: dict[str, Any]


@dataclass
class Behaviour:
    """What the broker does wrong on purpose."""

    refuse_code: int | None = None
    swallow: int = 0  # so many publishes are not acknowledged and end the connection
    unheard: int = 0  # so many publishes of MQTT 5 are told that nobody is subscribed
    commands: list[bytes] = field(default_factory=list)
    renew: Callable[[dict[str, Any]], bytes | None] | None = None
    refused_serials: set[int] = field(default_factory=set)


class FakeBroker:
    def __init__(self, tls: ssl.SSLContext, *, port: int = 0) -> None:
        self._tls = tls
        self._listener = socket.create_server(("127.0.0.1", port))
        self._thread = threading.Thread(target=self._accept)
        self.behaviour = Behaviour()
        self.connected: queue.Queue[Connected] = queue.Queue()
        self.published: queue.Queue[Published] = queue.Queue()
        self.subscribed: queue.Queue[str] = queue.Queue()
        self.clean_ends: queue.Queue[str] = queue.Queue()

    @property
    def port(self) -> int:
        return int(self._listener.getsockname()[1])

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        """Serve one client at a time: a device is alone in these tests."""
        while True:
            try:
                plain, _ = self._listener.accept()
            except OSError:
                return
            plain.settimeout(10)
            # A client that goes away, or that TLS refuses, ends its own connection only.
            with (
                contextlib.suppress(OSError, EOFError),
                plain,
                self._tls.wrap_socket(plain, server_side=True) as client,
            ):
                _Conversation(self, client).run()


class _Conversation:
    def __init__(self, broker: FakeBroker, client: ssl.SSLSocket) -> None:
        self._broker = broker
        self._client = client
        self._version = 4
        self._client_id = ""

    def run(self) -> None:
        kind, _, body = self._receive()
        if kind != CONNECT or not self._greet(body):
            return
        while True:
            kind, flags, body = self._receive()
            if kind == DISCONNECT:
                self._broker.clean_ends.put(self._client_id)
                return
            if kind == PUBLISH and not self._take(flags, body):
                return
            if kind == SUBSCRIBE:
                self._subscribe(body)
            if kind == PINGREQ:
                self._send(0xD0, b"")

    def _greet(self, body: bytes) -> bool:
        self._version, flags = body[6], body[7]
        start = 10 if self._version == 4 else 11 + body[10]
        length = int.from_bytes(body[start : start + 2], "big")
        self._client_id = body[start + 2 : start + 2 + length].decode()
        certificate = self._client.getpeercert() or {}
        self._broker.connected.put(
            Connected(self._client_id, self._version, bool(flags & 2), dict(certificate))
        )
        code = self._broker.behaviour.refuse_code
        if (
            int(str(certificate.get("serialNumber", "0")), 16)
            in self._broker.behaviour.refused_serials
        ):
            code = 5 if self._version == 4 else 0x87
        self._send(0x20, bytes([0, code or 0]) + self._no_properties())
        return code is None

    def _take(self, flags: int, body: bytes) -> bool:
        length = int.from_bytes(body[:2], "big")
        topic, rest = body[2 : 2 + length].decode(), body[2 + length :]
        identifier, payload = rest[:2], rest[2 + len(self._no_properties()) :]
        message = Published(topic, json.loads(payload), bool(flags & 8), flags >> 1 & 3)
        self._broker.published.put(message)
        if self._broker.behaviour.swallow > 0:
            self._broker.behaviour.swallow -= 1
            return False
        if self._broker.behaviour.unheard > 0:
            self._broker.behaviour.unheard -= 1
            self._send(0x40, identifier + b"\x10")
            return True
        self._send(0x40, identifier)
        if topic.endswith("/cert/renew") and self._broker.behaviour.renew is not None:
            answer = self._broker.behaviour.renew(message.content)
            if answer is not None:
                self._publish(topic.replace("renew", "issued"), answer, number=77)
        return True

    def _publish(self, topic: str, payload: bytes, *, number: int) -> None:
        head = len(topic).to_bytes(2, "big") + topic.encode() + number.to_bytes(2, "big")
        self._send(0x32, head + self._no_properties() + payload)

    def _subscribe(self, body: bytes) -> None:
        identifier, rest = body[:2], body[2 + len(self._no_properties()) :]
        topic = rest[2 : 2 + int.from_bytes(rest[:2], "big")].decode()
        self._broker.subscribed.put(topic)
        self._send(0x90, identifier + self._no_properties() + b"\x01")
        if topic.endswith("/cert/issued"):
            return
        for number, command in enumerate(self._broker.behaviour.commands, start=1):
            self._publish(topic, command, number=number)

    def _no_properties(self) -> bytes:
        return b"\0" if self._version == 5 else b""

    def _send(self, first: int, body: bytes) -> None:
        length, head = len(body), bytearray([first])
        while True:
            length, low = length >> 7, length & 0x7F
            head.append(low | 0x80 if length else low)
            if not length:
                break
        self._client.sendall(bytes(head) + body)

    def _receive(self) -> tuple[int, int, bytes]:
        first = self._exactly(1)[0]
        length, shift = 0, 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                break
        return first >> 4, first & 0x0F, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            part = self._client.recv(count - len(found))
            if not part:
                raise EOFError
            found += part
        return found
