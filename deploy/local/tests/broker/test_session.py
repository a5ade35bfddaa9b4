"""A session keeps order, keeps its bounds, and never forgets what it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_local.broker import session as limits
from pulse_local.broker.message import Delivery, Message
from pulse_local.broker.session import WINDOW, Session

if TYPE_CHECKING:
    import pytest


class RecordingLink:
    def __init__(self) -> None:
        self.congested = False
        self.sent: list[tuple[int | None, str, bool]] = []
        self.releases: list[int] = []

    def send_publish(self, packet_id: int | None, delivery: Delivery, *, dup: bool) -> None:
        self.sent.append((packet_id, delivery.message.payload.decode(), dup))

    def send_release(self, packet_id: int) -> None:
        self.releases.append(packet_id)


def delivery(text: str, qos: int = 1) -> Delivery:
    message = Message(topic="t", payload=text.encode(), qos=qos, retain=False, publisher="p")
    return Delivery(message=message, qos=qos)


def make_session() -> Session:
    return Session("c", persistent=True, created_at=0.0)


def test_no_more_than_the_window_is_on_the_wire() -> None:
    session, link = make_session(), RecordingLink()
    session.attach(link)

    for number in range(WINDOW + 10):
        session.offer(delivery(str(number)))
    on_the_wire = len(link.sent)
    session.acknowledge(1)

    assert on_the_wire == WINDOW
    assert link.sent[-1][1] == str(WINDOW)


def test_a_return_sends_again_in_order_under_the_same_packet_ids() -> None:
    session, first, second = make_session(), RecordingLink(), RecordingLink()
    session.attach(first)
    for number in range(5):
        session.offer(delivery(str(number)))
    session.acknowledge(3)
    session.detach(first, 1.0)
    session.offer(delivery("5"))

    session.attach(second)

    assert second.sent == [
        (1, "0", True), (2, "1", True), (4, "3", True), (5, "4", True), (6, "5", False),
    ]  # fmt: skip


def test_a_released_message_is_not_sent_again() -> None:
    session, first, second = make_session(), RecordingLink(), RecordingLink()
    session.attach(first)
    session.offer(delivery("once", qos=2))
    session.release(1)
    session.detach(first, 1.0)

    session.attach(second)

    assert second.sent == []
    assert second.releases == [1]


def test_a_full_queue_refuses_instead_of_dropping(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUEUE_LIMIT", 2)
    session = make_session()

    answers = [session.offer(delivery(str(number))) for number in range(3)]

    assert answers == [True, True, False]
    assert session.dropped == 1


def test_a_congested_client_misses_qos_zero_only() -> None:
    session, link = make_session(), RecordingLink()
    session.attach(link)
    link.congested = True

    session.offer(delivery("dropped", qos=0))
    session.offer(delivery("kept", qos=1))

    assert [text for _, text, _ in link.sent] == ["kept"]


def test_packet_ids_go_round_without_touching_those_in_flight() -> None:
    session, link = make_session(), RecordingLink()
    session.attach(link)
    session.offer(delivery("first"))
    session.last_packet_id = 65535

    session.offer(delivery("second"))

    assert [packet_id for packet_id, _, _ in link.sent] == [1, 2]
