"""One MQTT connection, from CONNECT to its end; with ``mqtt_socket`` the only code that knows paho.

Each connection has a client object of its own.  Packet ids belong to a connection; with a fresh object an
acknowledgement meant for an old connection cannot reach a new one.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, TypeVar

import structlog
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ingest_worker.broker import ConnectionFailed, Packet, VersionRefused
from ingest_worker.mqtt_socket import Pump, read_to_end
from pulse_common.errors import Conflict, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.reasoncodes import ReasonCode

    from ingest_worker.broker import Target

log = structlog.get_logger(__name__)

V5 = MQTTProtocolVersion.MQTTv5
V311 = MQTTProtocolVersion.MQTTv311
RECEIVE_MAXIMUM = 500
SESSION_EXPIRY_SECONDS = 3600
KEEP_ALIVE_SECONDS = 15
ANSWER_SECONDS = 10.0
LEAVE_SECONDS = 2.0
PUBLISH_SECONDS = 4.0
"""Less than the 5 s that a caller of the command RPC waits, so that it hears why."""

# Reason codes of MQTT 5 section 2.4; paho translates those of 3.1.1 to them.
FIRST_FAILURE = 0x80
UNSUPPORTED_VERSION = 0x84
NO_MATCHING_SUBSCRIBERS = 0x10

T = TypeVar("T")


class Connection:
    """Open it once; ``closed`` is set when it is over, whoever ended it."""

    def __init__(
        self, target: Target, version: MQTTProtocolVersion, on_packet: Callable[[Packet], None]
    ) -> None:
        self.closed = asyncio.Event()
        self._target = target
        self._version = version
        self._on_packet = on_packet
        self._loop = asyncio.get_running_loop()
        self._connack: asyncio.Future[ReasonCode | None] = self._loop.create_future()
        self._suback: asyncio.Future[list[ReasonCode] | None] = self._loop.create_future()
        self._pubacks: dict[int, asyncio.Future[ReasonCode | None]] = {}
        self._client = _make_client(target, version)
        self._pump = Pump(self._client)
        self._client.on_connect = self._connected
        self._client.on_subscribe = self._subscribed
        self._client.on_publish = self._published
        self._client.on_message = self._message
        self._client.on_disconnect = self._disconnected

    async def open(self) -> None:
        """Connect, resume the session, subscribe.

        Raises:
            VersionRefused: try an older version.
            ConnectionFailed: for any other reason, in its text.
        """
        try:
            await self._dial()
            self._pump.attach()
            _judge_connack(await self._answer(self._connack))
            await self._subscribe()
        except BaseException:
            self.abort()
            raise

    def acknowledge(self, packet_id: int) -> None:
        """Send the PUBACK; nothing happens when the connection is over."""
        self._client.ack(packet_id, 1)

    async def publish(self, topic: str, payload: bytes, expiry_seconds: int | None = None) -> None:
        """Publish with QoS 1 and wait for the PUBACK; the broker drops it when it expires (MQTT 5 only).

        Raises:
            Conflict: MQTT 5 only: nobody is subscribed, so that the broker kept nothing.
            Unavailable: no PUBACK, or one that refuses; without one it is not known whether the broker has it.
        """
        if not self._pump.attached:
            raise Unavailable("the broker is away")
        info = self._client.publish(
            topic, payload, qos=1, properties=self._expiring(expiry_seconds)
        )
        if info.rc != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise Unavailable("the broker is away")
        puback = self._pubacks[info.mid] = self._loop.create_future()
        try:
            async with asyncio.timeout(PUBLISH_SECONDS):
                reason = await puback
        except TimeoutError:
            raise Unavailable("the broker did not acknowledge in time") from None
        finally:
            del self._pubacks[info.mid]
        if reason is None or reason.value >= FIRST_FAILURE:
            raise Unavailable("the broker did not take the message")
        if reason.value == NO_MATCHING_SUBSCRIBERS:
            raise Conflict("the device is not connected")

    def _expiring(self, seconds: int | None) -> Properties | None:
        if seconds is None or self._version != V5:
            return None
        wanted = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho forgot it
        wanted.MessageExpiryInterval = seconds
        return wanted

    def pause(self) -> None:
        self._pump.pause()

    def resume(self) -> None:
        self._pump.resume()

    async def leave(self) -> None:
        """Send what is queued, then DISCONNECT.  The session stays at the broker and collects messages.

        A socket that is closed with unread messages in it is reset, and what the broker has not yet read of our
        acknowledgements is lost with it: those messages would come again.  So it is read to its end first.
        """
        line = self._pump.duplicate()
        self._client.disconnect()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LEAVE_SECONDS):
                await self.closed.wait()
        self.abort()
        if line is not None:
            await read_to_end(line, LEAVE_SECONDS)

    def abort(self) -> None:
        """End the connection at once, as a lost one would."""
        self._pump.abort()
        self._finish()

    async def _dial(self) -> None:
        """Resolve and connect on another thread: paho blocks there.  No callback is set that could run on it."""
        try:
            await asyncio.to_thread(_connect, self._client, self._target)
        except OSError as error:
            raise ConnectionFailed(f"cannot reach the broker: {error}") from error

    async def _subscribe(self) -> None:
        """Also when the session was resumed: a filter may be new since then."""
        result, _ = self._client.subscribe([(name, 1) for name in self._target.filters])
        if result != MQTTErrorCode.MQTT_ERR_SUCCESS:
            raise ConnectionFailed("the connection ended before SUBSCRIBE")
        _judge_suback(await self._answer(self._suback))

    async def _answer(self, future: asyncio.Future[T | None]) -> T:
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                found = await future
        except TimeoutError:
            raise ConnectionFailed("the broker did not answer") from None
        if found is None:
            raise ConnectionFailed("the broker closed the connection")
        return found

    def _finish(self) -> None:
        """Tell everybody who waits that nothing more will come."""
        self._pump.detach()
        self.closed.set()
        _resolve(self._connack, None)
        _resolve(self._suback, None)
        for puback in self._pubacks.values():
            _resolve(puback, None)

    # Called by paho, on the event loop's thread ---------------------------------------

    def _connected(
        self, _c: Client, _u: object, _flags: ConnectFlags, reason: ReasonCode, _p: object
    ) -> None:
        _resolve(self._connack, reason)

    def _subscribed(
        self, _c: Client, _u: object, _mid: int, reasons: list[ReasonCode], _p: object
    ) -> None:
        _resolve(self._suback, reasons)

    def _published(self, _c: Client, _u: object, mid: int, reason: ReasonCode, _p: object) -> None:
        puback = self._pubacks.get(mid)
        if puback is not None:
            _resolve(puback, reason)

    def _message(self, _c: Client, _u: object, message: MQTTMessage) -> None:
        self._pump.packets += 1
        try:
            topic = message.topic
        except UnicodeDecodeError:
            topic = ""  # no broker should let it pass; it is refused as a topic of nobody's
        self._on_packet(
            Packet(
                topic=topic,
                payload=bytes(message.payload),
                qos=message.qos,
                packet_id=message.mid,
                dup=message.dup,
            )
        )

    def _disconnected(
        self, _c: Client, _u: object, flags: DisconnectFlags, reason: ReasonCode, _p: object
    ) -> None:
        by_broker = flags.is_disconnect_packet_from_server
        log.info("mqtt_disconnected", reason=reason.getName(), by_broker=by_broker)
        self._finish()


def _make_client(target: Target, version: MQTTProtocolVersion) -> Client:
    client = Client(
        CallbackAPIVersion.VERSION2,
        client_id=target.client_id,
        # In MQTT 5 the session is kept by its expiry instead, and paho wants None here.
        clean_session=None if version == V5 else False,
        protocol=version,
        reconnect_on_failure=False,
        manual_ack=True,
    )
    client.username_pw_set(target.username, target.password.get_secret_value())
    client.connect_timeout = ANSWER_SECONDS / 2
    client.max_inflight_messages = RECEIVE_MAXIMUM
    return client


def _connect(client: Client, target: Target) -> None:
    if client.protocol != V5:
        client.connect(target.host, target.port, KEEP_ALIVE_SECONDS)
        return
    wanted = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho forgot it
    wanted.SessionExpiryInterval = SESSION_EXPIRY_SECONDS
    wanted.ReceiveMaximum = RECEIVE_MAXIMUM
    client.connect(
        target.host, target.port, KEEP_ALIVE_SECONDS, clean_start=False, properties=wanted
    )


def _judge_connack(reason: ReasonCode) -> None:
    if reason.value == UNSUPPORTED_VERSION:
        raise VersionRefused(reason.getName())
    if reason.value >= FIRST_FAILURE:
        raise ConnectionFailed(f"the broker refused us: {reason.getName()}")


def _judge_suback(reasons: list[ReasonCode]) -> None:
    refused = [reason.getName() for reason in reasons if reason.value != 1]
    if refused:
        raise ConnectionFailed(f"the broker refused a subscription: {', '.join(refused)}")


def _resolve(future: asyncio.Future[T | None], value: T | None) -> None:
    if not future.done():
        future.set_result(value)
