"""What travels through the broker: a published message, and one copy due to one subscriber."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulse_local.broker.subscriptions import Group


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    topic: str
    payload: bytes
    qos: int
    retain: bool
    publisher: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    message: Message
    qos: int
    retain: bool = False
    # The shared group that this copy belongs to: another member may take it over.
    group: Group | None = None
