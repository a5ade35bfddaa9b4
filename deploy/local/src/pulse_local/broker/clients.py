"""The broker's memory: sessions, connections, bans and retained messages, and how they meet.

Nothing here waits, so each method is one step that no other connection sees half done.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import structlog

from pulse_local.broker.bans import Bans
from pulse_local.broker.message import Delivery, Message
from pulse_local.broker.retained import Retained
from pulse_local.broker.session import Session
from pulse_local.broker.subscriptions import Subscriptions
from pulse_local.broker.topics import split_delayed

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_local.broker.authz import Authorization
    from pulse_local.broker.client import Client
    from pulse_local.broker.packets import Connect
    from pulse_local.broker.wire import Wire

log = structlog.get_logger(__name__)
SESSION_EXPIRY_SECONDS = 7200.0  # EMQX's default for a session without a connection
DELAYED_LIMIT = 10_000


@dataclass(frozen=True, kw_only=True, eq=False)
class Presence:
    """One admitted connection, as the rest of the broker knows it."""

    client: Client
    connect: Connect
    authorization: Authorization
    session: Session
    wire: Wire
    connected_at: float


class Opened(NamedTuple):
    session: Session
    present: bool


class Published(NamedTuple):
    subscribers: int
    kept: bool  # False when a queue was full: the publisher must not be told that all is well


class Clients:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.sessions: dict[str, Session] = {}
        self.presences: dict[str, Presence] = {}
        # What the management API shows of a session whose connection has ended.
        self.last_presences: dict[str, Presence] = {}
        self.subscriptions = Subscriptions()
        self.retained = Retained()
        self.bans = Bans(clock)
        self.delayed: set[asyncio.TimerHandle] = set()

    def open_session(self, client_id: str, *, clean: bool) -> Opened:
        """Resume or start the session of an admitted client; the older connection ends."""
        older = self.presences.get(client_id)
        if older is not None:
            self.end(older, "taken over")
        session = self.sessions.get(client_id)
        if session is not None and not clean and session.persistent:
            return Opened(session, present=True)
        if session is not None:
            self.forget(session)
        session = Session(client_id, persistent=not clean, created_at=self.clock())
        self.sessions[client_id] = session
        return Opened(session, present=False)

    def enter(self, presence: Presence) -> None:
        self.presences[presence.client.client_id] = presence
        self.last_presences[presence.client.client_id] = presence

    def end(self, presence: Presence, reason: str) -> None:
        presence.wire.close(reason)
        self.leave(presence)

    def leave(self, presence: Presence) -> None:
        """Note that a connection is over. Messages it owes a group go to the other members."""
        client_id = presence.client.client_id
        presence.session.detach(presence.wire, self.clock())
        if self.presences.get(client_id) is not presence:
            return
        del self.presences[client_id]
        session = presence.session
        if not session.persistent:
            self.forget(session)
            return
        self.give_away(
            session.take(lambda owed: owed.group is not None and owed.group.has_other_than(session))
        )

    def forget(self, session: Session) -> None:
        """Delete a session and its subscriptions; shared messages go to the group's members."""
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
            self.last_presences.pop(session.client_id, None)
        self.subscriptions.remove_all(session)
        self.give_away(session.take(lambda owed: owed.group is not None))

    def give_away(self, deliveries: list[Delivery]) -> None:
        lost = sum(not self.pass_on(delivery) for delivery in deliveries)
        if lost:
            log.warning("shared_messages_lost", count=lost, reason="nobody is left in the group")

    @staticmethod
    def pass_on(delivery: Delivery) -> bool:
        member = delivery.group.choose() if delivery.group is not None else None
        return member is not None and member.offer(delivery)

    def kick(self, client_id: str) -> bool:
        """Close the connection and delete the session; False when there is neither."""
        session = self.sessions.get(client_id)
        if session is None:
            return False
        presence = self.presences.get(client_id)
        if presence is not None:
            self.end(presence, "kicked")
        self.forget(session)
        return True

    def expire(self) -> None:
        deadline = self.clock() - SESSION_EXPIRY_SECONDS
        for session in list(self.sessions.values()):
            since = session.disconnected_at
            if not session.connected and since is not None and since < deadline:
                log.info("session_expired", client_id=session.client_id)
                self.forget(session)

    def deliver(self, message: Message) -> Published:
        """Queue a message for everybody who is subscribed to it, before anyone is told so."""
        if message.retain:
            self.retained.keep(message)
        subscribers, kept = 0, True
        for node in self.subscriptions.match(message.topic):
            for session, qos in list(node.sessions.items()):
                subscribers += 1
                kept &= session.offer(Delivery(message=message, qos=min(qos, message.qos)))
            for group in list(node.groups.values()):
                member = group.choose()
                if member is not None:
                    subscribers += 1
                    qos = min(group.members[member], message.qos)
                    kept &= member.offer(Delivery(message=message, qos=qos, group=group))
        return Published(subscribers, kept)

    def publish(self, message: Message) -> bool:
        """Deliver now or (`$delayed/seconds/topic`) in a while; False when it was not kept."""
        delayed = split_delayed(message.topic)
        assert delayed is not None, "the connection refused malformed topics"
        if delayed.seconds == 0:
            return self.deliver(replace(message, topic=delayed.topic)).kept
        if len(self.delayed) >= DELAYED_LIMIT:
            return False
        due = replace(message, topic=delayed.topic)

        def fall_due() -> None:
            self.delayed.discard(timer)
            self.deliver(due)

        timer = asyncio.get_running_loop().call_later(delayed.seconds, fall_due)
        self.delayed.add(timer)
        return True

    def subscribe(self, session: Session, wanted: str, qos: int) -> None:
        """Subscribe, and send what is retained: not to a shared group, as in EMQX."""
        self.subscriptions.add(session, wanted, qos)
        if wanted.startswith(("$share/", "$queue/")):
            return
        for kept in self.retained.matching(wanted):
            message = kept.message
            session.offer(Delivery(message=message, qos=min(qos, message.qos), retain=True))
