"""Drives a paho client from asyncio: the event loop watches the socket and calls paho, all on one thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import structlog
from paho.mqtt.enums import MQTTErrorCode

from ingest_worker.broker import ConnectionFailed

if TYPE_CHECKING:
    from paho.mqtt.client import Client

log = structlog.get_logger(__name__)

TICK_SECONDS = 1.0
PACKETS_A_TURN = 64


class Pump:
    """Attach it once the client has connected.  ``packets`` is counted up by whoever gets the client's messages."""

    def __init__(self, client: Client) -> None:
        self.packets = 0
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._socket: socket.socket | None = None
        self._reading = False
        self._tick: asyncio.TimerHandle | None = None

    @property
    def attached(self) -> bool:
        return self._socket is not None

    def attach(self) -> None:
        """Begin to read and write.

        Raises:
            ConnectionFailed: the connection is gone already.
        """
        found = self._client.socket()
        if not isinstance(found, socket.socket):
            raise ConnectionFailed("the connection ended at once")
        self._socket = found
        # Acknowledgements are small and must not wait for each other.
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._client.on_socket_close = lambda *_: self.detach()
        self._client.on_socket_register_write = lambda *_: self._watch_for_room()
        self._client.on_socket_unregister_write = lambda *_: self._stop_watching_for_room()
        self.resume()
        if self._client.want_write():
            self._watch_for_room()
        self._tick = self._loop.call_later(TICK_SECONDS, self._ticked)

    def detach(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        if self._socket is not None:
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
        self._socket = None
        self._reading = False

    def duplicate(self) -> socket.socket | None:
        """Give another handle of the socket: it stays open when paho closes its own."""
        return None if self._socket is None else self._socket.dup()

    def pause(self) -> None:
        """Stop reading: TCP, and then the broker, hold further messages back."""
        if self._socket is not None and self._reading:
            self._loop.remove_reader(self._socket)
        self._reading = False

    def resume(self) -> None:
        if self._socket is not None and not self._reading:
            self._loop.add_reader(self._socket, self._readable)
            self._reading = True

    def abort(self) -> None:
        """End the connection at once, as a lost one would."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)
            # paho closes a socket only when it finds it at its end.
            with contextlib.suppress(Exception):
                while self._client.loop_read() == MQTTErrorCode.MQTT_ERR_SUCCESS:
                    pass
        self.detach()

    def _watch_for_room(self) -> None:
        if self._socket is not None:
            self._loop.add_writer(self._socket, self._writable)

    def _stop_watching_for_room(self) -> None:
        if self._socket is not None:
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        """Take a turn's worth of packets; paho takes one a call."""
        try:
            for _ in range(PACKETS_A_TURN):
                before = self.packets
                if self._client.loop_read() != MQTTErrorCode.MQTT_ERR_SUCCESS:
                    return
                if self.packets == before or not self._reading:
                    return
        except Exception:
            log.exception("mqtt_read_crashed")
            self.abort()

    def _writable(self) -> None:
        try:
            self._client.loop_write()
        except Exception:
            log.exception("mqtt_write_crashed")
            self.abort()

    def _ticked(self) -> None:
        """Keep the connection alive, and notice when it is dead.

        Not while reading is paused: the answer to a ping would stay unread, and a live connection would look dead.
        """
        self._tick = self._loop.call_later(TICK_SECONDS, self._ticked)
        if self._reading:
            self._client.loop_misc()


async def read_to_end(line: socket.socket, seconds: float) -> None:
    """Say that nothing more comes from us, throw away what still arrives, and close once the other side has."""
    with line, contextlib.suppress(OSError):
        line.settimeout(0)
        line.shutdown(socket.SHUT_WR)
        async with asyncio.timeout(seconds):
            while await asyncio.get_running_loop().sock_recv(line, 65_536):
                pass
