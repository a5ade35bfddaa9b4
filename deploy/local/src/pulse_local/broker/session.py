"""What the broker owes one client id: subscriptions, messages in flight and messages waiting."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_local.broker.message import Delivery

WINDOW = 256  # unacknowledged messages on the wire, so that a late acknowledgement costs no speed
QUEUE_LIMIT = 100_000
MAX_PACKET_ID = 65535


class Link(Protocol):
    """The connection that a session writes to. Writing never waits."""

    @property
    def congested(self) -> bool: ...

    def send_publish(self, packet_id: int | None, delivery: Delivery, *, dup: bool) -> None: ...

    def send_release(self, packet_id: int) -> None: ...


@dataclass(slots=True)
class InFlight:
    delivery: Delivery
    released: bool = False  # QoS 2: the client has it, only the release is outstanding


class Session:
    """Survives its connection, in memory: what was not acknowledged is sent again, in order."""

    def __init__(self, client_id: str, *, persistent: bool, created_at: float) -> None:
        self.client_id = client_id
        self.persistent = persistent
        self.created_at = created_at
        self.disconnected_at: float | None = None
        self.subscriptions: dict[str, int] = {}
        self.link: Link | None = None
        self.in_flight: OrderedDict[int, InFlight] = OrderedDict()
        self.waiting: deque[Delivery] = deque()
        self.received: set[int] = set()  # QoS 2 packet ids whose release has not come
        self.dropped = 0
        self.last_packet_id = 0

    @property
    def connected(self) -> bool:
        return self.link is not None

    @property
    def has_room(self) -> bool:
        return not self.waiting and len(self.in_flight) < WINDOW

    @property
    def full(self) -> bool:
        return len(self.waiting) >= QUEUE_LIMIT

    def offer(self, delivery: Delivery) -> bool:
        """Send or keep a message; False when it could not be kept and must not be acknowledged."""
        if delivery.qos == 0:
            self.send_once(delivery)
            return True
        if self.full:
            self.dropped += 1
            return False
        self.waiting.append(delivery)
        self.pump()
        return True

    def send_once(self, delivery: Delivery) -> None:
        if self.link is None or self.link.congested:
            self.dropped += 1
            return
        self.link.send_publish(None, delivery, dup=False)

    def attach(self, link: Link) -> None:
        self.link = link
        self.disconnected_at = None
        for packet_id, entry in self.in_flight.items():
            if entry.released:
                link.send_release(packet_id)
            else:
                link.send_publish(packet_id, entry.delivery, dup=True)
        self.pump()

    def detach(self, link: Link, now: float) -> None:
        if self.link is link:
            self.link = None
            self.disconnected_at = now

    def pump(self) -> None:
        while self.link is not None and self.waiting and len(self.in_flight) < WINDOW:
            delivery = self.waiting.popleft()
            packet_id = self.next_packet_id()
            self.in_flight[packet_id] = InFlight(delivery)
            self.link.send_publish(packet_id, delivery, dup=False)

    def next_packet_id(self) -> int:
        packet_id = self.last_packet_id
        while True:
            packet_id = packet_id % MAX_PACKET_ID + 1
            if packet_id not in self.in_flight:
                self.last_packet_id = packet_id
                return packet_id

    def acknowledge(self, packet_id: int) -> None:
        """Forget a message that the client has (PUBACK or PUBCOMP), and send the next."""
        if self.in_flight.pop(packet_id, None) is not None:
            self.pump()

    def release(self, packet_id: int) -> None:
        """The client has a QoS 2 message (PUBREC): from here on it is never sent again."""
        entry = self.in_flight.get(packet_id)
        if entry is not None:
            entry.released = True
        if self.link is not None:
            self.link.send_release(packet_id)

    def take(self, leaves: Callable[[Delivery], bool]) -> list[Delivery]:
        """Remove and return what is owed and may go to somebody else, oldest first."""
        taken = [
            (packet_id, entry.delivery)
            for packet_id, entry in self.in_flight.items()
            if not entry.released and leaves(entry.delivery)
        ]
        for packet_id, _ in taken:
            del self.in_flight[packet_id]
        leaving = [delivery for delivery in self.waiting if leaves(delivery)]
        self.waiting = deque(delivery for delivery in self.waiting if not leaves(delivery))
        return [delivery for _, delivery in taken] + leaving
