"""How a connection to the broker can end, and how to tell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paho.mqtt.reasoncodes import ReasonCode

# Codes (MQTT 5; paho translates those of 3.1.1) that say "not now" rather than "not you":
# unavailable, busy, quota exceeded, use another server, connection rate exceeded.
NOT_NOW = frozenset({0x88, 0x89, 0x97, 0x9C, 0x9F})
# What the TLS alerts about our own certificate have in common, as OpenSSL spells them.
REFUSING_ALERTS = (
    "ALERT_BAD_CERT",
    "ALERT_CERTIFICATE",
    "ALERT_UNKNOWN_CA",
    "ALERT_ACCESS_DENIED",
    "ALERT_UNSUPPORTED_CERT",
)


@dataclass(frozen=True, slots=True)
class Refused:
    """The broker knows who we are, or that it does not, and says no."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    reason: str
    connected_seconds: float


@dataclass(frozen=True, slots=True)
class Left:
    """We closed the connection ourselves."""


Ended = Refused | Lost | Left


def judge_answer(reason: ReasonCode) -> Ended:
    """Judge an answer to CONNECT that is not a success."""
    text = f"the broker answered: {reason}"
    return Lost(text, 0.0) if reason.value in NOT_NOW else Refused(text)


def judge_failure(text: str, connected_seconds: float) -> Ended:
    """Judge what the socket or TLS said; with TLS 1.3 a refusal comes after the handshake."""
    spelled = text.upper().replace(" ", "_")
    if any(alert in spelled for alert in REFUSING_ALERTS):
        return Refused(f"the broker does not accept our certificate: {text}")
    if connected_seconds:
        return Lost(text or "the connection broke", connected_seconds)
    return Lost(text or "the broker closed the connection without an answer", 0.0)
