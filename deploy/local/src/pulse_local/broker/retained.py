"""The last retained message of each topic."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_local.broker.topics import covers

if TYPE_CHECKING:
    from pulse_local.broker.message import Message


@dataclass(frozen=True)
class Kept:
    message: Message
    at: float


class Retained:
    def __init__(self) -> None:
        self.kept: dict[str, Kept] = {}

    def keep(self, message: Message) -> None:
        """Remember a message; an empty one purges its topic [MQTT-3.3.1-10]."""
        if message.payload:
            self.kept[message.topic] = Kept(message, time.time())
        else:
            self.kept.pop(message.topic, None)

    def purge(self, topic: str) -> bool:
        return self.kept.pop(topic, None) is not None

    def matching(self, wanted: str) -> list[Kept]:
        return [kept for topic, kept in self.kept.items() if covers(wanted, topic)]
