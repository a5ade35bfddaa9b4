"""Sessions expire, and a message that cannot be kept is not acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_local.broker import session as limits
from pulse_local.broker.clients import SESSION_EXPIRY_SECONDS, Clients
from pulse_local.broker.message import Message

if TYPE_CHECKING:
    import pytest

MESSAGE = Message(topic="t", payload=b"x", qos=1, retain=False, publisher="p")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_session_expires_two_hours_after_its_connection() -> None:
    clock = Clock()
    clients = Clients(clock)
    session, _ = clients.open_session("c", clean=False)
    clients.subscribe(session, "t", 1)
    session.disconnected_at = clock.now

    clock.now += SESSION_EXPIRY_SECONDS - 1
    clients.expire()
    before = "c" in clients.sessions
    clock.now += 2
    clients.expire()

    assert before
    assert "c" not in clients.sessions
    assert clients.deliver(MESSAGE).subscribers == 0


def test_a_message_that_a_full_queue_cannot_take_is_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits, "QUEUE_LIMIT", 1)
    clients = Clients()
    session, _ = clients.open_session("c", clean=False)
    clients.subscribe(session, "t", 1)

    kept = [clients.publish(MESSAGE) for _ in range(2)]

    assert kept == [True, False]


def test_a_group_prefers_a_member_with_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUEUE_LIMIT", 1)
    clients = Clients()
    for name in ("a", "b"):
        session, _ = clients.open_session(name, clean=False)
        clients.subscribe(session, "$share/g/t", 1)

    kept = [clients.publish(MESSAGE) for _ in range(3)]

    assert kept == [True, True, False]
    assert [len(session.waiting) for session in clients.sessions.values()] == [1, 1]


def test_a_deleted_member_leaves_its_messages_to_the_group() -> None:
    clients = Clients()
    for name in ("a", "b"):
        session, _ = clients.open_session(name, clean=False)
        clients.subscribe(session, "$share/g/t", 1)
    for _ in range(10):
        clients.publish(MESSAGE)

    clients.kick("a")

    assert len(clients.sessions["b"].waiting) == 10
