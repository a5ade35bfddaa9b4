"""The MQTT 3.1.1 packets that a client sends, as typed values."""

from __future__ import annotations

from dataclasses import dataclass


class Malformed(Exception):  # noqa: N818 - reads as a sentence where it is raised
    """Not MQTT 3.1.1: the connection is closed without an answer [MQTT-4.8.0-1]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Will:
    topic: str
    payload: bytes
    qos: int
    retain: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    supported: bool  # the protocol is MQTT 3.1.1
    readable: bool  # every name and the password are UTF-8
    client_id: str
    username: str
    password: str
    clean: bool
    keep_alive_seconds: int
    will: Will | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    packet_id: int


@dataclass(frozen=True, slots=True)
class Acknowledged:
    packet_id: int


@dataclass(frozen=True, slots=True)
class Received:
    packet_id: int


@dataclass(frozen=True, slots=True)
class Released:
    packet_id: int


@dataclass(frozen=True, slots=True)
class Subscribe:
    packet_id: int
    filters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Unsubscribe:
    packet_id: int
    filters: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ping:
    pass


@dataclass(frozen=True, slots=True)
class Disconnect:
    pass


Packet = (
    Connect | Publish | Acknowledged | Received | Released
    | Subscribe | Unsubscribe | Ping | Disconnect
)  # fmt: skip
