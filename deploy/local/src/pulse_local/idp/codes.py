"""Log-ins that are under way, and the authorization codes that end them: short-lived, used once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

CODE_SECONDS = 60
REMEMBERED_SECONDS = 3600  # how long a second use is recognised as one
LOG_IN_SECONDS = 1800
MOST_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """What a code stands for; Authlib reads it through these names."""

    session_id: str
    redirect_uri: str
    scope: str
    nonce: str | None
    code_challenge: str
    issued_at: float
    code_challenge_method: str = "S256"

    def get_redirect_uri(self) -> str:
        return self.redirect_uri

    def get_scope(self) -> str:
        return self.scope


class Codes:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._codes: dict[str, Code] = {}
        self._used: set[str] = set()

    def save(self, value: str, code: Code) -> None:
        for old in list(self._codes):
            too_old = self._clock() >= self._codes[old].issued_at + REMEMBERED_SECONDS
            if not too_old and len(self._codes) < MOST_REMEMBERED:
                break  # they are in the order of issue
            del self._codes[old]
            self._used.discard(old)
        self._codes[value] = code

    def claim(self, value: str) -> Code | None:
        """Take a code, whatever comes of it then: a failed exchange burns it too."""
        code = self._codes.get(value)
        if code is None or value in self._used:
            return None
        self._used.add(value)
        return code if self._clock() < code.issued_at + CODE_SECONDS else None

    def session_of_used(self, value: str) -> str | None:
        """Tell which session a code began that has been used already."""
        return self._codes[value].session_id if value in self._used else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogIn:
    """A request that waits for its person to log in, in the browser that holds ``browser``."""

    parameters: Mapping[str, str]
    browser: str
    begun_at: float


class LogIns:
    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._waiting: dict[str, LogIn] = {}

    def begin(self, parameters: Mapping[str, str], browser: str) -> str:
        while len(self._waiting) >= MOST_REMEMBERED:
            del self._waiting[next(iter(self._waiting))]
        value = secrets.token_urlsafe(32)
        self._waiting[value] = LogIn(parameters=parameters, browser=browser, begun_at=self._clock())
        return value

    def find(self, value: str, browser: str) -> LogIn | None:
        """Return the log-in, in the browser that began it only: nobody logs another one in."""
        found = self._waiting.get(value)
        if found is None or self._clock() >= found.begun_at + LOG_IN_SECONDS:
            return None
        same = secrets.compare_digest(found.browser.encode(), browser.encode())
        return found if same else None

    def finish(self, value: str) -> None:
        self._waiting.pop(value, None)
