"""Writes the MQTT 3.1.1 packets that a server sends, with amqtt's codec."""

from __future__ import annotations

from typing import TYPE_CHECKING

# amqtt carries no type marker (py.typed), so mypy sees nothing of it.
from amqtt.mqtt.connack import ConnackPacket  # type: ignore[import-untyped]
from amqtt.mqtt.pingresp import PingRespPacket  # type: ignore[import-untyped]
from amqtt.mqtt.puback import PubackPacket  # type: ignore[import-untyped]
from amqtt.mqtt.pubcomp import PubcompPacket  # type: ignore[import-untyped]
from amqtt.mqtt.publish import PublishPacket  # type: ignore[import-untyped]
from amqtt.mqtt.pubrec import PubrecPacket  # type: ignore[import-untyped]
from amqtt.mqtt.pubrel import PubrelPacket  # type: ignore[import-untyped]
from amqtt.mqtt.suback import SubackPacket  # type: ignore[import-untyped]
from amqtt.mqtt.unsuback import UnsubackPacket  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from pulse_local.broker.message import Delivery


def connack(code: int, *, present: bool) -> bytes:
    return bytes(ConnackPacket.build(1 if present else 0, code).to_bytes())


def publish(packet_id: int | None, delivery: Delivery, *, dup: bool) -> bytes:
    message = delivery.message
    built = PublishPacket.build(
        message.topic, message.payload, packet_id, dup, delivery.qos, delivery.retain
    )
    return bytes(built.to_bytes())


def puback(packet_id: int) -> bytes:
    return bytes(PubackPacket.build(packet_id).to_bytes())


def pubrec(packet_id: int) -> bytes:
    return bytes(PubrecPacket.build(packet_id).to_bytes())


def pubrel(packet_id: int) -> bytes:
    return bytes(PubrelPacket.build(packet_id).to_bytes())


def pubcomp(packet_id: int) -> bytes:
    return bytes(PubcompPacket.build(packet_id).to_bytes())


def suback(packet_id: int, codes: list[int]) -> bytes:
    return bytes(SubackPacket.build(packet_id, codes).to_bytes())


def unsuback(packet_id: int) -> bytes:
    return bytes(UnsubackPacket.build(packet_id).to_bytes())


def pingresp() -> bytes:
    return bytes(PingRespPacket.build().to_bytes())
