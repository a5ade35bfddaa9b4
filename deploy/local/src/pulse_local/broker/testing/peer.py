"""One MQTT client of a test, on paho."""

from __future__ import annotations

import contextlib
import queue
import socket
import ssl
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paho.mqtt.client import Client, MQTTMessage

WAIT_SECONDS = 10.0


class Peer:
    """One MQTT client of the test; what happens to it arrives in queues."""

    def __init__(self, client: Client, port: int) -> None:
        self.client = client
        self.port = port
        self.codes: queue.Queue[int] = queue.Queue()
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.granted: queue.Queue[list[int]] = queue.Queue()
        self.acknowledged: queue.Queue[int] = queue.Queue()
        self.closed = threading.Event()
        self.session_present = False
        client.on_connect = self.connected
        client.on_disconnect = lambda *_: self.closed.set()
        client.on_message = lambda _client, _data, message: self.messages.put(message)
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self.granted.put(
            [code.value for code in codes]
        )
        client.on_publish = lambda _client, _data, mid, *_: self.acknowledged.put(mid)

    def connected(self, _client: Client, _data: object, flags: Any, code: Any, _more: Any) -> None:  # noqa: ANN401 - paho's callback
        self.session_present = flags.session_present
        self.codes.put(code.value)

    def connect(self, keep_alive: int = 60) -> int | None:
        """Return the code of the CONNACK, 0 when let in; None when there was none."""
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            self.client.connect("127.0.0.1", self.port, keep_alive)
            self.client.loop_start()
            return self.first_code()
        return None

    def first_code(self) -> int | None:
        while not self.closed.is_set():
            with contextlib.suppress(queue.Empty):
                return self.codes.get(timeout=0.05)
        return None if self.codes.empty() else self.codes.get_nowait()

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        self.client.subscribe([(wanted, qos) for wanted in filters])
        return self.granted.get(timeout=WAIT_SECONDS)

    def publish(self, topic: str, payload: str = "x", qos: int = 1, *, retain: bool = False) -> int:
        return self.client.publish(topic, payload, qos, retain).mid

    def publish_and_wait(
        self, topic: str, payload: str = "x", qos: int = 1, *, retain: bool = False
    ) -> None:
        self.publish(topic, payload, qos, retain=retain)
        self.acknowledged.get(timeout=WAIT_SECONDS)

    def receive(self, timeout: float = WAIT_SECONDS) -> MQTTMessage:
        return self.messages.get(timeout=timeout)

    def is_closed(self) -> bool:
        return self.closed.wait(WAIT_SECONDS)

    def receive_all(self, quiet_seconds: float = 0.5) -> list[MQTTMessage]:
        """Take what arrives until nothing does for a while."""
        found = []
        while True:
            try:
                found.append(self.receive(quiet_seconds))
            except queue.Empty:
                return found

    def pull_the_plug(self) -> None:
        """End the connection as a killed process would: no DISCONNECT, nothing flushed."""
        connection = self.client.socket()
        assert isinstance(connection, socket.socket)
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown, and no close_notify: a dead process sends neither.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        assert self.closed.wait(WAIT_SECONDS)
        self.client.loop_stop()

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()
