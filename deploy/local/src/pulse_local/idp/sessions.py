"""What the provider remembers between requests, in memory only: a restart logs everybody out.

One event loop owns it and nothing here awaits, so each method is atomic.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import uuid4

if TYPE_CHECKING:
    from collections.abc import Callable

    from pulse_local.idp.realm import User

IDLE_SECONDS = 1800
LONGEST_SECONDS = 10 * 3600
MOST_SESSIONS = 10_000  # a development provider's memory is bounded too


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One person's log-in in one browser; its id is the tokens' ``sid``."""

    id: str
    user: User
    cookie_hash: str
    started_at: int
    authenticated_at: int
    used_at: int


class Sessions:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._refresh_ids: dict[str, dict[str, str]] = {}

    def log_in(self, user: User, cookie: str) -> tuple[Session, str]:
        """Begin a session, or renew the one of this browser; return it and its new cookie.

        The same person proving the password again keeps the session (a step-up must not end what is
        going on in it); another person ends it.
        """
        now = int(self._clock())
        new_cookie = secrets.token_urlsafe(32)
        session = Session(
            id=str(uuid4()),
            user=user,
            cookie_hash=_hash(new_cookie),
            started_at=now,
            authenticated_at=now,
            used_at=now,
        )
        before = self.by_cookie(cookie)
        if before is not None and before.user == user:
            session = replace(session, id=before.id, started_at=before.started_at)
        elif before is not None:
            self.end(before.id)
        self._make_room()
        self._sessions[session.id] = session
        return session, new_cookie

    def by_cookie(self, cookie: str) -> Session | None:
        wanted = _hash(cookie)
        for session in self._sessions.values():
            if secrets.compare_digest(session.cookie_hash, wanted):
                return self.find(session.id)
        return None

    def find(self, session_id: str) -> Session | None:
        """Return a session that goes on; one that was idle or open too long has ended."""
        session = self._sessions.get(session_id)
        if session is None:
            return None
        now = self._clock()
        if now >= session.used_at + IDLE_SECONDS or now >= session.started_at + LONGEST_SECONDS:
            self.end(session_id)
            return None
        return session

    def use(self, session: Session) -> None:
        self._sessions[session.id] = replace(session, used_at=int(self._clock()))

    def end(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)
        self._refresh_ids.pop(session_id, None)

    def expect_refresh(self, session: Session, family: str, token_id: str) -> None:
        """Note the one refresh token of its family (all that came from one code) that is good now."""
        self._refresh_ids.setdefault(session.id, {})[family] = token_id

    def is_expected(self, session: Session, family: str, token_id: str) -> bool:
        return self._refresh_ids.get(session.id, {}).get(family) == token_id

    def _make_room(self) -> None:
        for session_id in list(self._sessions):
            self.find(session_id)
        while len(self._sessions) >= MOST_SESSIONS:
            self.end(next(iter(self._sessions)))


def _hash(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).hexdigest()
