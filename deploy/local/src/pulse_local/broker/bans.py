"""Who may not connect, and until when."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_local.broker.client import Client

KINDS = frozenset({"clientid", "username", "peerhost"})


@dataclass(frozen=True, kw_only=True)
class Ban:
    kind: str
    who: str
    reason: str
    by: str
    at: float
    until: float | None  # None is for ever


class Bans:
    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.clock = clock
        self.bans: dict[tuple[str, str], Ban] = {}

    def add(self, ban: Ban) -> bool:
        """Add a ban; False when that client is banned already."""
        if self.find(ban.kind, ban.who) is not None:
            return False
        self.bans[ban.kind, ban.who] = ban
        return True

    def remove(self, kind: str, who: str) -> bool:
        return self.bans.pop((kind, who), None) is not None

    def find(self, kind: str, who: str) -> Ban | None:
        ban = self.bans.get((kind, who))
        if ban is None:
            return None
        if ban.until is not None and ban.until <= self.clock():
            del self.bans[kind, who]
            return None
        return ban

    def current(self) -> list[Ban]:
        found = (self.find(kind, who) for kind, who in list(self.bans))
        return [ban for ban in found if ban is not None]

    def hits(self, client: Client) -> bool:
        names = (
            ("clientid", client.client_id),
            ("username", client.username),
            ("peerhost", client.peer_host),
        )
        return any(self.find(kind, who) is not None for kind, who in names)
