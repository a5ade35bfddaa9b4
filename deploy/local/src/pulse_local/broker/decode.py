"""Reads MQTT 3.1.1 packets with amqtt's codec, and refuses what the standard forbids."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any

# amqtt carries no type marker (py.typed), so mypy sees nothing of it.
from amqtt.adapters import BufferReader  # type: ignore[import-untyped]
from amqtt.errors import AMQTTError, CodecError, MQTTError, NoDataError  # type: ignore[import-untyped]
from amqtt.mqtt import packet as kinds  # type: ignore[import-untyped]
from amqtt.mqtt import packet_class

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
    Will,
)

if TYPE_CHECKING:
    import asyncio

MAX_PACKET_BYTES = 1024 * 1024  # EMQX's default
MAX_LENGTH_BYTES = 4
MAX_QOS = 2
PROTOCOL_LEVEL = 4
DECODING_ERRORS = (AMQTTError, CodecError, MQTTError, NoDataError, ValueError, struct.error)
# Packets whose four flag bits are fixed [MQTT-2.2.2-1].
FLAGS = {
    kinds.CONNECT: 0, kinds.PUBACK: 0, kinds.PUBREC: 0, kinds.PUBREL: 2, kinds.PUBCOMP: 0,
    kinds.SUBSCRIBE: 2, kinds.UNSUBSCRIBE: 2, kinds.PINGREQ: 0, kinds.DISCONNECT: 0,
}  # fmt: skip
RECEIPTS: dict[int, type[Acknowledged | Received | Released]] = {
    kinds.PUBACK: Acknowledged,
    kinds.PUBCOMP: Acknowledged,
    kinds.PUBREC: Received,
    kinds.PUBREL: Released,
}
SIGNALS: dict[int, Ping | Disconnect] = {
    kinds.PINGREQ: Ping(),
    kinds.DISCONNECT: Disconnect(),
}


async def read_packet(reader: asyncio.StreamReader) -> Packet:
    """Read one packet whole, then decode it; raises IncompleteReadError at the end."""
    first = (await reader.readexactly(1))[0]
    body = await reader.readexactly(await read_length(reader))
    header = kinds.MQTTFixedHeader(first >> 4, first & 0x0F, len(body))
    if FLAGS.get(header.packet_type, header.flags) != header.flags:
        raise Malformed("the reserved flags are not as they must be")
    try:
        packet = await packet_class(header).from_stream(BufferReader(body), fixed_header=header)
        return parse_packet(header, packet, body)
    except DECODING_ERRORS as error:
        raise Malformed(repr(error)) from error


async def read_length(reader: asyncio.StreamReader) -> int:
    length = 0
    for index in range(MAX_LENGTH_BYTES):
        byte = (await reader.readexactly(1))[0]
        length |= (byte & 0x7F) << 7 * index
        if byte < 0x80:  # noqa: PLR2004 - the continuation bit
            if length > MAX_PACKET_BYTES:
                raise Malformed(f"a packet of {length} bytes")
            return length
    raise Malformed("the length has more than four bytes")


def parse_packet(header: Any, packet: Any, body: bytes) -> Packet:  # noqa: ANN401 - amqtt is untyped
    kind = header.packet_type
    if kind in RECEIPTS:
        return RECEIPTS[kind](packet.variable_header.packet_id)
    if kind in SIGNALS:
        return SIGNALS[kind]
    match kind:
        case kinds.PUBLISH:
            return parse_publish(packet, body)
        case kinds.CONNECT:
            return parse_connect(packet, body)
        case kinds.SUBSCRIBE:
            return parse_subscribe(packet, body)
        case kinds.UNSUBSCRIBE:
            return parse_unsubscribe(packet, body)
        case _:
            raise Malformed("a packet that only a server sends")


def parse_subscribe(packet: Any, body: bytes) -> Subscribe:  # noqa: ANN401 - amqtt is untyped
    wanted = tuple(packet.payload.topics)
    if not wanted or not all(is_verbatim(name, body) for name, _ in wanted):
        raise Malformed("no filter, or one that is not UTF-8")
    if any(qos > MAX_QOS for _, qos in wanted):
        raise Malformed("a QoS above 2")
    return Subscribe(packet.variable_header.packet_id, wanted)


def parse_unsubscribe(packet: Any, body: bytes) -> Unsubscribe:  # noqa: ANN401 - amqtt is untyped
    filters = tuple(packet.payload.topics)
    if not filters or not all(is_verbatim(name, body) for name in filters):
        raise Malformed("no filter, or one that is not UTF-8")
    return Unsubscribe(packet.variable_header.packet_id, filters)


def is_verbatim(text: str, body: bytes) -> bool:
    """Notice text that was not UTF-8: amqtt decodes it to the Python source of its bytes."""
    return text.encode() in body


def parse_publish(packet: Any, body: bytes) -> Publish:  # noqa: ANN401 - amqtt is untyped
    if packet.qos > MAX_QOS:
        raise Malformed("a QoS above 2")
    if packet.qos > 0 and not packet.packet_id:
        raise Malformed("a packet id of zero")
    if not is_verbatim(packet.topic_name, body):
        raise Malformed("a topic that is not UTF-8")
    return Publish(
        topic=packet.topic_name,
        payload=packet.data or b"",
        qos=packet.qos,
        retain=packet.retain_flag,
        packet_id=packet.packet_id or 0,
    )


def parse_connect(packet: Any, body: bytes) -> Connect:  # noqa: ANN401 - amqtt is untyped
    header, payload = packet.variable_header, packet.payload
    if header.reserved_flag or packet.will_qos > MAX_QOS:
        raise Malformed("the connect flags are not as they must be")
    if packet.will_flag and payload.will_topic is None:
        raise Malformed("a will without a topic")
    client_id = "" if payload.client_id_is_random else payload.client_id
    texts = (client_id, payload.username or "", payload.password or "", payload.will_topic or "")
    will = Will(
        topic=payload.will_topic,
        payload=bytes(payload.will_message),
        qos=packet.will_qos,
        retain=packet.will_retain_flag,
    ) if packet.will_flag else None  # fmt: skip
    return Connect(
        supported=packet.proto_name == "MQTT" and packet.proto_level == PROTOCOL_LEVEL,
        readable=all(is_verbatim(text, body) for text in texts),
        client_id=client_id,
        username=payload.username or "",
        password=payload.password or "",
        clean=packet.clean_session_flag,
        keep_alive_seconds=packet.keep_alive,
        will=will,
    )
