"""What passes between this service and the broker, in words that know no MQTT library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import SecretStr

FILTERS = (
    "$share/ingest/tenant/+/device/+/telemetry",
    "$share/ingest/tenant/+/device/+/state",
    "$share/ingest/tenant/+/device/+/command/ack",
    "$share/ingest/tenant/+/device/+/cert/renew",
)


class ConnectionFailed(Exception):  # noqa: N818 -- reads as an outcome
    """The broker could not be reached, refused us, or fell silent."""


class VersionRefused(ConnectionFailed):
    """The broker does not speak this version of the protocol."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Which broker, and as whom."""

    host: str
    port: int
    username: str
    password: SecretStr
    client_id: str
    filters: Sequence[str] = FILTERS


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One PUBLISH from the broker; ``packet_id`` is 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int
    packet_id: int
    dup: bool
