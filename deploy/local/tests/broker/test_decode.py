"""Whatever a client sends is a packet or is malformed; nothing else comes out."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulse_local.broker.decode import read_packet
from pulse_local.broker.packets import Acknowledged, Malformed, Packet, Publish, Subscribe

if TYPE_CHECKING:
    from pulse_local.broker.testing.rig import Rig


def decode(data: bytes) -> Packet:
    async def read() -> Packet:
        reader = asyncio.StreamReader()
        reader.feed_data(data)
        reader.feed_eof()
        return await read_packet(reader)

    return asyncio.run(read())


@given(kind=st.integers(0, 255), body=st.binary(max_size=60))
def test_random_bytes_are_a_packet_or_malformed(kind: int, body: bytes) -> None:
    with contextlib.suppress(Malformed):
        decode(bytes([kind, len(body)]) + body)


def test_packets_become_values() -> None:
    assert decode(bytes.fromhex("3207 0001 74 0005 6869")) == Publish(
        topic="t", payload=b"hi", qos=1, retain=False, packet_id=5
    )
    assert decode(bytes.fromhex("4002 0007")) == Acknowledged(7)
    assert decode(bytes.fromhex("8206 0001 0001 23 01")) == Subscribe(1, (("#", 1),))


@pytest.mark.parametrize(
    "packet",
    [
        "3605 0001 74 0005",  # QoS 3
        "3205 0001 74 0000",  # packet id zero
        "3204 0001 ff 00",  # cut off
        "3006 0001 ff 616161",  # a topic that is not UTF-8
        "8006 0001 0001 23 01",  # SUBSCRIBE with flags 0
        "8206 0001 0001 23 03",  # QoS 3
        "8202 0001",  # no filter
        "2002 0000",  # CONNACK
        "0000", "f000",  # reserved
        "30ffffffff7f",  # a length of five bytes
        "30ffffff7f",  # 256 MiB
    ],
)  # fmt: skip
def test_forbidden_packets_are_malformed(packet: str) -> None:
    with pytest.raises(Malformed):
        decode(bytes.fromhex(packet))


@pytest.mark.parametrize(
    "packet", ["c000", "3003 0001 74", "1000", "10ffffff7f", "160301"], ids=lambda text: text
)
def test_a_client_that_does_not_begin_with_connect_is_closed(rig: Rig, packet: str) -> None:
    with socket.create_connection(("127.0.0.1", rig.settings.plain_port), timeout=5) as raw:
        raw.sendall(bytes.fromhex(packet))
        raw.shutdown(socket.SHUT_WR)

        assert raw.recv(10) == b""


def test_an_unknown_protocol_level_is_answered_as_such(rig: Rig) -> None:
    packet = bytes.fromhex("100d 0004 4d515454 03 02 003c 0001 61")

    with socket.create_connection(("127.0.0.1", rig.settings.plain_port), timeout=5) as raw:
        raw.sendall(packet)

        assert raw.recv(10) == bytes.fromhex("20020001")


def test_a_silent_client_is_closed_after_its_keep_alive(open_rig: Rig) -> None:
    packet = bytes.fromhex("100d 0004 4d515454 04 02 0001 0001 61")

    with socket.create_connection(("127.0.0.1", open_rig.settings.plain_port), timeout=5) as raw:
        raw.sendall(packet)
        welcome = raw.recv(10)

        assert welcome == bytes.fromhex("20020000")
        assert raw.recv(10) == b""
