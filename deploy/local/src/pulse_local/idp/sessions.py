"""What the provider remembers between requests, in memory only: a restart logs everybody out.

One event loop owns it and nothing here awaits, so each method is atomic.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

IDLE_SECONDS = 1800
LONGEST_SECONDS = 10 * 3600
SECOND_LEVEL_SECONDS = 300  # how long a step-up to the second level is remembered
MOST_SESSIONS = 10_000  # a development provider's memory is bounded too


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One person's log-in in one browser; its id is the tokens' ``sid``."""

    id: str
    subject: str
    cookie_hash: str
    started_at: int
    authenticated_at: int
    used_at: int
    second_level_at: int | None = None


class Sessions:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        self._refresh_ids: dict[str, dict[str, str]] = {}

    def log_in(self, subject: str, cookie: str) -> tuple[Session, str]:
        """Begin a session, or renew the one of this browser; return it and its new cookie.

        Proving the password again keeps the session: a step-up must not end what is going on in it.
        """
        now = int(self._clock())
        new_cookie = secrets.token_urlsafe(32)
        session = Session(
            id=secrets.token_urlsafe(18),  # of Keycloak's length and alphabet
            subject=subject,
            cookie_hash=_hash(new_cookie),
            started_at=now,
            authenticated_at=now,
            used_at=now,
        )
        before = self.by_cookie(cookie)
        if before is not None and before.subject == subject:
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

    def of(self, subject: str) -> list[Session]:
        """Return everything that somebody has open."""
        open_now = [self.find(session_id) for session_id in list(self._sessions)]
        return [session for session in open_now if session and session.subject == subject]

    def use(self, session: Session) -> None:
        self._sessions[session.id] = replace(session, used_at=int(self._clock()))

    def raise_level(self, session: Session) -> Session:
        """Note that the person has just proved more than a password."""
        raised = replace(session, second_level_at=int(self._clock()))
        self._sessions[session.id] = raised
        return raised

    def level(self, session: Session) -> str:
        """Return the level (``acr``) that the session is on now."""
        at = session.second_level_at
        return "2" if at is not None and self._clock() < at + SECOND_LEVEL_SECONDS else "1"

    def end(self, session_id: str) -> None:
        self._sessions.pop(session_id, None)
        self._refresh_ids.pop(session_id, None)

    def forget_refresh(self, session: Session) -> None:
        """End what the client has of a session; the person's log-in goes on, as Keycloak has it."""
        self._refresh_ids.pop(session.id, None)

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
