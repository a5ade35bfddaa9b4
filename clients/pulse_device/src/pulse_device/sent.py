"""Publishes that are under way, and those that the broker took though nobody was there to get them."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from paho.mqtt.reasoncodes import ReasonCode

    from pulse_device.outbox import Outgoing

NO_MATCHING_SUBSCRIBERS = 0x10
"""MQTT 5 section 3.4.2.1.  The platform always listens; where nobody does, the broker has just begun."""
AGAIN_SECONDS = 5.0


class Sent:
    """By packet id.  Used on the link's thread only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._under_way: dict[int, Outgoing] = {}
        self._unheard: deque[tuple[float, Outgoing]] = deque()
        self.heard = 0

    def __len__(self) -> int:
        """How many are not known to have arrived; those that nobody heard are among them."""
        return len(self._under_way) + len(self._unheard)

    def add(self, packet_id: int, item: Outgoing) -> None:
        self._under_way[packet_id] = item

    def acknowledged(self, packet_id: int, reason: ReasonCode) -> None:
        """Take a PUBACK; one of a packet that was never added says nothing here."""
        item = self._under_way.pop(packet_id, None)
        if item is None or reason.is_failure:
            return
        if reason.value == NO_MATCHING_SUBSCRIBERS:
            self._unheard.append((self._clock() + AGAIN_SECONDS, item))
        else:
            self.heard += 1

    def take_due(self) -> Outgoing | None:
        """Give one that is to be sent again now; ``add`` it under its new id."""
        if not self._unheard or self._unheard[0][0] > self._clock():
            return None
        return self._unheard.popleft()[1]
