"""Which operator asks, and why: a reason with every request of a program, one for half an hour in a browser."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote

from pulse_common.errors import Malformed
from ui_iot.operators import Operator

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.cookies import SealedCookies

HEADER = "operator-reason"
COOKIE = "__Host-pulse_reason"
REASON_SECONDS = 1800
SHORTEST, LONGEST = 5, 300


class ReasonMissing(Malformed):
    """An operator of a page is led to the form that asks for it."""


@dataclass(frozen=True, slots=True)
class Reasons:
    sealed: SealedCookies

    def of_program(self, request: Request, principal: Principal) -> Operator:
        """Read the header, percent-encoded UTF-8.

        Raises:
            Malformed: there is no reason that could stand in an audit log.
        """
        return _operator(principal, checked(unquote(request.headers.get(HEADER, ""))))

    def of_browser(self, request: Request, principal: Principal) -> Operator:
        """Read what the operator said last.

        Raises:
            ReasonMissing: nothing within the last half hour.
        """
        kept = self.sealed.get(request, COOKIE)
        # Another operator of the same browser gives another reason.
        if kept is None or kept["subject"] != principal.subject:
            raise ReasonMissing("say why first")
        return _operator(principal, kept["reason"])

    def keep(self, response: Response, principal: Principal, reason: str) -> None:
        value = {"subject": principal.subject, "reason": checked(reason)}
        self.sealed.set(response, COOKIE, value, REASON_SECONDS)


def checked(text: str) -> str:
    reason = unicodedata.normalize("NFC", text).strip()
    if not SHORTEST <= len(reason) <= LONGEST:
        raise Malformed(f"say why, in {SHORTEST} to {LONGEST} characters ({HEADER} for programs)")
    if any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in reason):
        raise Malformed("the reason must not hold control characters")
    return reason


def _operator(principal: Principal, reason: str) -> Operator:
    name = principal.email or principal.username or principal.subject
    return Operator(id=principal.subject, name=name, reason=reason)
