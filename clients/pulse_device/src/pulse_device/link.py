"""One MQTT client over mutual TLS: connect, publish from the outbox, acknowledge commands.

paho's own threads and reconnects are not used. One loop owns the client, so that nothing here
needs a lock, and the time of the next attempt is ours to decide.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from paho.mqtt.enums import LogLevel

from pulse_device.commands import CommandError, acknowledgement, parse_command_id
from pulse_device.endings import Left, Lost, Refused, judge_answer, judge_failure
from pulse_device.mqtt_client import WINDOW, connect
from pulse_device.outbox import Outgoing
from pulse_device.sent import AGAIN_SECONDS, NO_MATCHING_SUBSCRIBERS, Sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

    from pulse_device.endings import Ended
    from pulse_device.journal import Journal
    from pulse_device.names import DeviceName, Endpoint
    from pulse_device.outbox import Outbox
    from pulse_device.renewal import Renewal
    from pulse_device.trust import Trust
    from pulse_device.wake import Waker

GOODBYE_SECONDS = 2.0
TICK_SECONDS = 1.0


class Link:
    def __init__(  # noqa: PLR0913 - the parts, each by its name
        self,
        *,
        client: Client,
        name: DeviceName,
        broker: Endpoint,
        outbox: Outbox,
        journal: Journal,
        renewal: Renewal,
        trust: Trust,
    ) -> None:
        self._name = name
        self._renewal = renewal
        self._trust = trust
        self._control: set[int] = set()
        self._topics: dict[int, str] = {}
        self._broker = broker
        self._outbox = outbox
        self._journal = journal
        self._client = client
        self._connected_at: float | None = None
        self._ended: Ended | None = None
        self._last_error = ""
        self._sent = Sent()
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        client.on_log = self._on_log

    @property
    def unacknowledged(self) -> int:
        return len(self._sent)

    @property
    def published(self) -> int:
        return self._sent.heard

    def run_once(self, waker: Waker, leaving: Callable[[], bool]) -> Ended:
        """Connect and stay until the connection ends, `leaving` says so, or a renewed certificate is to be tried."""
        self._forget_previous()
        self._renewal.prepare()
        ended = self._stay(waker, leaving)
        if self._connected_at is not None or isinstance(ended, Left):
            return ended
        if self._renewal.not_connected() and isinstance(ended, Refused):
            return Lost(ended.reason, 0.0)  # the pair before is not refused yet
        return ended

    def _stay(self, waker: Waker, leaving: Callable[[], bool]) -> Ended:
        try:
            connect(self._client, self._broker)
        except OSError as error:
            return judge_failure(str(error), 0.0)
        while self._client.socket() is not None and self._ended is None:
            if leaving() or (self._connected_at is not None and self._renewal.wants_reconnect):
                return self._leave(waker)
            self._turn(waker)
            self._ask_for_renewal()
            self._publish_waiting()
        return self._ended or self._judge_loss()

    def _ask_for_renewal(self) -> None:
        if self._connected_at is None or self._client.socket() is None:
            return
        for event, request in (
            ("renewal_requested", self._renewal.request()),
            ("authorities_told", self._trust.request()),
        ):
            if request is not None:
                self._subscribe(self._name.issued_topic)
                self._control.add(self._client.publish(self._name.renew_topic, request, qos=1).mid)
                self._journal.info(event)

    def _subscribe(self, topic: str) -> None:
        _, mid = self._client.subscribe(topic, qos=1)
        if mid is not None:
            self._topics[mid] = topic

    def _forget_previous(self) -> None:
        self._connected_at = None
        self._ended = None
        self._topics.clear()
        self._last_error = ""

    def _turn(self, waker: Waker) -> None:
        sock = self._client.socket()
        if sock is None:
            return
        # Bytes that TLS has already decrypted do not make the socket readable.
        ready = sock.pending() > 0 if hasattr(sock, "pending") else False
        readable, writable = waker.wait(
            timeout_seconds=0.0 if ready else TICK_SECONDS,
            reading=sock,
            writing=sock if self._client.want_write() else None,
        )
        if readable or ready:
            self._client.loop_read()
        if writable:
            self._client.loop_write()
        self._client.loop_misc()

    def _publish_waiting(self) -> None:
        while self._connected_at is not None and self._client.socket() is not None:
            item = self._sent.take_due()
            if item is None and len(self._sent) < WINDOW:
                item = self._outbox.take()
            if item is None:
                return
            self._sent.add(self._client.publish(item.topic, item.payload, qos=1).mid, item)

    def _leave(self, waker: Waker) -> Left:
        self._client.disconnect()
        deadline = time.monotonic() + GOODBYE_SECONDS
        while self._client.socket() is not None and time.monotonic() < deadline:
            self._turn(waker)
        return Left()

    def _judge_loss(self) -> Ended:
        since = self._connected_at
        return judge_failure(self._last_error, 0.0 if since is None else time.monotonic() - since)

    def _on_connect(
        self,
        _client: Client,
        _userdata: object,
        flags: ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            self._ended = judge_answer(reason)
            return
        self._connected_at = time.monotonic()
        self._renewal.connected()
        self._outbox.go_online()
        self._journal.info(
            "connected",
            broker=f"{self._broker.host}:{self._broker.port}",
            session_present=flags.session_present,
            waiting=self._outbox.waiting(),
        )
        # Asked for each time: a broker that lost its sessions would otherwise stay silent.
        self._subscribe(self._name.command_topic)

    def _on_disconnect(
        self,
        _client: Client,
        _userdata: object,
        flags: DisconnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if self._ended is not None:
            return
        if flags.is_disconnect_packet_from_server:
            self._last_error = f"the broker disconnected us: {reason}"
        self._ended = self._judge_loss()

    def _on_subscribe(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reasons: list[ReasonCode],
        _properties: Properties | None,
    ) -> None:
        for reason in reasons:
            if reason.is_failure:
                self._journal.warning("subscription_refused", reason=reason)
            else:
                self._journal.info("subscribed", topic=self._topics.get(mid, ""))

    def _on_publish(
        self,
        _client: Client,
        _userdata: object,
        mid: int,
        reason: ReasonCode,
        _properties: Properties,
    ) -> None:
        if mid in self._control:
            self._control.discard(mid)
            return
        self._sent.acknowledged(mid, reason)
        if reason.is_failure:
            self._journal.warning("publish_refused", reason=reason)
        elif reason.value == NO_MATCHING_SUBSCRIBERS:
            self._journal.warning("publish_unheard", again_in_seconds=AGAIN_SECONDS)

    def _on_message(self, _client: Client, _userdata: object, message: MQTTMessage) -> None:
        if message.topic == self._name.issued_topic:
            payload = bytes(message.payload)
            if not self._trust.take(payload):
                self._renewal.take(payload)
            return
        try:
            command_id = parse_command_id(bytes(message.payload))
        except CommandError as error:
            self._journal.warning("command_ignored", reason=error)
            return
        self._journal.info("command_received", id=command_id)
        self._outbox.put_or_drop(
            Outgoing(self._name.command_ack_topic, acknowledgement(command_id))
        )

    def _on_log(self, _client: Client, _userdata: object, level: int, text: str) -> None:
        # The only place where paho tells what the socket or TLS said.
        if level == LogLevel.MQTT_LOG_ERR:
            self._last_error = text
