"""Who gets a message: a tree of filters, and shared groups that give it to one member each."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pulse_local.broker.topics import split_shared

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulse_local.broker.session import Session


class Group:
    """The members of one `$share/group/filter`, taken in turn."""

    def __init__(self) -> None:
        self.members: dict[Session, int] = {}
        self.turn = 0

    def choose(self) -> Session | None:
        """Pick the next member: one with room, else one connected, else one that will be back."""
        members = list(self.members)
        if not members:
            return None
        self.turn = (self.turn + 1) % len(members)
        in_turn = members[self.turn :] + members[: self.turn]
        connected = [member for member in in_turn if member.connected]
        with_room = (member for member in connected if member.has_room)
        not_full = (member for member in connected or in_turn if not member.full)
        return next(with_room, None) or next(not_full, in_turn[0])

    def has_other_than(self, session: Session) -> bool:
        return any(member.connected for member in self.members if member is not session)


@dataclass(slots=True)
class Node:
    children: dict[str, Node] = field(default_factory=dict)
    sessions: dict[Session, int] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.children or self.sessions or self.groups)


class Subscriptions:
    def __init__(self) -> None:
        self.root = Node()

    def add(self, session: Session, wanted: str, qos: int) -> None:
        shared = split_shared(wanted)
        assert shared is not None, "the connection refused malformed filters"
        node = self.root
        for level in shared.filter.split("/"):
            node = node.children.setdefault(level, Node())
        session.subscriptions[wanted] = qos
        if shared.group is None:
            node.sessions[session] = qos
        else:
            node.groups.setdefault(shared.group, Group()).members[session] = qos

    def remove(self, session: Session, wanted: str) -> None:
        if session.subscriptions.pop(wanted, None) is None:
            return
        shared = split_shared(wanted)
        assert shared is not None, "it was added"
        levels = shared.filter.split("/")
        path = [self.root]
        for level in levels:
            path.append(path[-1].children[level])
        leave(path[-1], session, shared.group)
        for parent, level, node in reversed(list(zip(path, levels, path[1:], strict=False))):
            if node.empty:
                del parent.children[level]

    def remove_all(self, session: Session) -> None:
        for wanted in list(session.subscriptions):
            self.remove(session, wanted)

    def match(self, topic: str) -> Iterator[Node]:
        levels = topic.split("/")
        found = [self.root]
        for depth, level in enumerate(levels):
            # A leading wildcard does not reach topics with a leading dollar sign [MQTT-4.7.2-1].
            wildcards = depth > 0 or not topic.startswith("$")
            deeper = []
            for node in found:
                if wildcards and (rest := node.children.get("#")):
                    yield rest
                if wildcards and (any_level := node.children.get("+")):
                    deeper.append(any_level)
                if exact := node.children.get(level):
                    deeper.append(exact)
            found = deeper
        for node in found:
            yield node
            if rest := node.children.get("#"):
                yield rest


def leave(node: Node, session: Session, group: str | None) -> None:
    if group is None:
        node.sessions.pop(session, None)
        return
    members = node.groups[group].members
    members.pop(session, None)
    if not members:
        del node.groups[group]
