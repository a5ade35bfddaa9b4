"""What a device may send, and what becomes of it: a topic and bytes in, a verdict out."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal
from uuid import UUID

from ingest_worker import payload
from ingest_worker.payload import BadPayload, Reason
from pulse_common.errors import Malformed
from pulse_common.events import Reading
from pulse_common.ids import parse_id

if TYPE_CHECKING:
    from datetime import datetime

    from pulse_common.events import MetricValue

_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"))

Kind = Literal["telemetry", "state", "command/ack"]


@dataclass(frozen=True, slots=True)
class Inbound:
    """One message as it came from the broker."""

    topic: str
    payload: bytes
    received_at: datetime


@dataclass(frozen=True, slots=True)
class Origin:
    tenant_id: UUID
    device_id: UUID
    kind: Kind


@dataclass(frozen=True, slots=True)
class Accepted:
    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class CommandAcknowledged:
    origin: Origin
    command_id: UUID
    ok: bool
    result: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """``origin`` is None when the topic itself is none of ours."""

    reason: Reason
    origin: Origin | None
    detail: str | None = None
    """Where in the message, and what, for people."""


Verdict = Accepted | CommandAcknowledged | Refused


def judge(message: Inbound, origin: Origin | None, leeway: timedelta = timedelta()) -> Verdict:
    """Decide about one message as a whole: one bad reading refuses the batch that it came in.

    ``origin`` is what its topic says (``parse_topic``), ``leeway`` how far our clock may be off.
    """
    if origin is None:
        return Refused("topic", None)
    try:
        if origin.kind == "command/ack":
            said = payload.parse_command_ack(message.payload)
            return CommandAcknowledged(origin, said.command_id, said.ok, said.result)
        samples = payload.parse_samples(message.payload, message.received_at, leeway)
    except BadPayload as refusal:
        return Refused(refusal.reason, origin)
    return Accepted(
        tuple(
            Reading(
                tenant_id=origin.tenant_id,
                device_id=origin.device_id,
                message_id=_reading_id(message, index, sample.ts, sample.metrics),
                ts=sample.ts or message.received_at,
                received_at=message.received_at,
                metrics=sample.metrics,
            )
            for index, sample in enumerate(samples)
        )
    )


def parse_topic(topic: str) -> Origin | None:
    """Read ``tenant/{t}/device/{d}/{kind}``; ids in their canonical form only."""
    match topic.split("/"):
        case ["tenant", tenant, "device", device, "telemetry"]:
            kind: Kind = "telemetry"
        case ["tenant", tenant, "device", device, "state"]:
            kind = "state"
        case ["tenant", tenant, "device", device, "command", "ack"]:
            kind = "command/ack"
        case _:
            return None
    try:
        return Origin(parse_id(tenant, "tenant"), parse_id(device, "device"), kind)
    except Malformed:
        return None


def parked_id(message: Inbound, reason: Reason) -> UUID:
    """Name a refused message by its content, so that a redelivery is parked once."""
    return _digest_id(b"parked", message.topic.encode(), reason.encode(), message.payload)


def _reading_id(
    message: Inbound, index: int, ts: datetime | None, metrics: dict[str, MetricValue]
) -> UUID:
    """Name a reading by what the device said, so that every redelivery has the same id.

    Without a time of the device's own, equal payloads are not the same reading.  Then the time of arrival stands in,
    and a redelivery after a lost connection counts as another reading: at least once instead of exactly once.
    """
    where = (message.topic.encode(), index.to_bytes(2, "big"))
    if ts is None:
        arrival = message.received_at.isoformat().encode()
        return _digest_id(b"arrived", *where, arrival, message.payload)
    content = _CANONICAL.encode([ts.isoformat(), metrics])
    return _digest_id(b"stated", *where, content.encode())


def _digest_id(*parts: bytes) -> UUID:
    """Make a UUIDv8 (RFC 9562 section 5.8) from SHA-256; lengths go in, so that no two lists of parts look alike."""
    content = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    value = int.from_bytes(hashlib.sha256(content).digest()[:16], "big")
    value = value & ~(0xF << 76) | 0x8 << 76
    value = value & ~(0x3 << 62) | 0x2 << 62
    return UUID(int=value)
