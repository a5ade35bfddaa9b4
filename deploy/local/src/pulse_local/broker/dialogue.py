"""What an admitted client says, and what the broker does about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_local.broker import encode
from pulse_local.broker.acl import Act
from pulse_local.broker.message import Message
from pulse_local.broker.packets import (
    Acknowledged,
    Connect,
    Disconnect,
    Malformed,
    Packet,
    Ping,
    Publish,
    Received,
    Released,
    Subscribe,
    Unsubscribe,
)
from pulse_local.broker.topics import split_delayed, split_shared

if TYPE_CHECKING:
    from pulse_local.broker.clients import Clients, Presence

SUBSCRIPTION_REFUSED = 0x80
EXACTLY_ONCE = 2


class Dialogue:
    def __init__(self, presence: Presence, clients: Clients) -> None:
        self.presence = presence
        self.session = presence.session
        self.wire = presence.wire
        self.clients = clients
        self.goodbye = False  # the client sent DISCONNECT, so its will is not published

    async def take(self, packet: Packet) -> None:
        match packet:
            case Publish():
                await self.take_publish(packet)
            case Acknowledged() | Received() | Released():
                self.take_receipt(packet)
            case Subscribe():
                await self.take_subscribe(packet)
            case Unsubscribe():
                self.take_unsubscribe(packet)
            case Ping():
                self.wire.write(encode.pingresp())
            case Disconnect():
                self.goodbye = True
                self.wire.close("client said goodbye")
            case Connect():
                raise Malformed("a second CONNECT")

    def take_receipt(self, packet: Acknowledged | Received | Released) -> None:
        match packet:
            case Acknowledged(packet_id):
                self.session.acknowledge(packet_id)
            case Received(packet_id):
                self.session.release(packet_id)
            case Released(packet_id):
                self.session.received.discard(packet_id)
                self.wire.write(encode.pubcomp(packet_id))

    def take_unsubscribe(self, packet: Unsubscribe) -> None:
        for wanted in packet.filters:
            self.clients.subscriptions.remove(self.session, wanted)
        self.wire.write(encode.unsuback(packet.packet_id))

    async def take_publish(self, packet: Publish) -> None:
        if packet.qos == EXACTLY_ONCE and packet.packet_id in self.session.received:
            self.wire.write(encode.pubrec(packet.packet_id))
            return
        message = Message(
            topic=packet.topic,
            payload=packet.payload,
            qos=packet.qos,
            retain=packet.retain,
            publisher=self.presence.client.client_id,
        )
        if not await self.publish(message):
            return
        # Only now, queued for every subscriber, may the publisher forget it.
        if packet.qos == 1:
            self.wire.write(encode.puback(packet.packet_id))
        elif packet.qos == EXACTLY_ONCE:
            self.session.received.add(packet.packet_id)
            self.wire.write(encode.pubrec(packet.packet_id))

    async def publish(self, message: Message) -> bool:
        if not await self.may_publish(message):
            self.wire.close("publish denied")  # deny_action = disconnect
            return False
        if self.wire.closed:
            return False  # kicked while the question was out
        if not self.clients.publish(message):
            self.wire.close("a subscriber's queue is full")
            return False
        return True

    async def may_publish(self, message: Message) -> bool:
        delayed = split_delayed(message.topic)
        if delayed is None:
            return False
        act = Act(action="publish", topic=delayed.topic, qos=message.qos, retain=message.retain)
        return await self.presence.authorization.permits(act)

    async def take_subscribe(self, packet: Subscribe) -> None:
        """Judge every filter first: one that is denied refuses them all and disconnects."""
        valid = [split_shared(wanted) for wanted, _ in packet.filters]
        for shared, (_, qos) in zip(valid, packet.filters, strict=True):
            if shared is None:
                continue
            act = Act(action="subscribe", topic=shared.filter, qos=qos, retain=False)
            if not await self.presence.authorization.permits(act):
                codes = [SUBSCRIPTION_REFUSED] * len(packet.filters)
                self.wire.write(encode.suback(packet.packet_id, codes))
                self.wire.close("subscribe denied")
                return
        if self.wire.closed:
            return  # kicked while the question was out: its session is gone
        granted = [
            SUBSCRIPTION_REFUSED if shared is None else qos
            for shared, (_, qos) in zip(valid, packet.filters, strict=True)
        ]
        self.wire.write(encode.suback(packet.packet_id, granted))
        for shared, (wanted, qos) in zip(valid, packet.filters, strict=True):
            if shared is not None:
                self.clients.subscribe(self.session, wanted, qos)

    async def publish_will(self) -> None:
        will = self.presence.connect.will
        if will is None or self.goodbye or self.clients.bans.hits(self.presence.client):
            return
        message = Message(
            topic=will.topic,
            payload=will.payload,
            qos=will.qos,
            retain=will.retain,
            publisher=self.presence.client.client_id,
        )
        if await self.may_publish(message):
            self.clients.publish(message)
