"""The cookies: the session, a log-in under way, tokens to show once.  ``__Host-``, Secure, HttpOnly."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ui_iot.sealing import NotSealedHereError

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.clock import Clock
    from ui_iot.sealing import Sealer

SESSION = "__Host-pulse_session"
LOGIN = "__Host-pulse_login"
ENROLMENT = "__Host-pulse_enrolment"
DEVICE_TOKEN = "__Host-pulse_device_token"  # noqa: S105 -- a cookie's name
ROUTE_SECRET = "__Host-pulse_route_secret"  # noqa: S105 -- a cookie's name

LOGIN_SECONDS = 600
ENROLMENT_SECONDS = 120


def set_session(response: Response, value: str, seconds: int) -> None:
    """Strict: no other site's link or form ever carries the session."""
    _set(response, SESSION, value, seconds, "strict")


def clear(response: Response, name: str) -> None:
    response.delete_cookie(name, path="/", secure=True, httponly=True)


@dataclass(frozen=True, slots=True)
class SealedCookies:
    """Small values kept in the browser, unreadable and unchangeable there, and of no use after their time."""

    sealer: Sealer
    clock: Clock

    def set(self, response: Response, name: str, value: dict[str, str], seconds: int) -> None:
        """Lax, because the way back from the identity provider is a link from another site."""
        # The browser's max-age binds browsers only; a copy of the cookie ends by this.
        until = (self.clock() + timedelta(seconds=seconds)).timestamp()
        sealed = self.sealer.seal(json.dumps({"until": until, "value": value}).encode(), name)
        _set(response, name, base64.urlsafe_b64encode(sealed).decode(), seconds, "lax")

    def get(self, request: Request, name: str) -> dict[str, str] | None:
        """Return the value, or None when there is none that this service sealed and that is still good."""
        text = request.cookies.get(name)
        if text is None:
            return None
        try:
            raw = self.sealer.open(base64.urlsafe_b64decode(text.encode()), name)
        except (NotSealedHereError, binascii.Error):
            return None
        kept: Any = json.loads(raw)
        if self.clock().timestamp() >= kept["until"]:
            return None
        return {str(key): str(item) for key, item in kept["value"].items()}


def _set(response: Response, name: str, value: str, seconds: int, same_site: str) -> None:
    response.set_cookie(
        name,
        value,
        max_age=seconds,
        path="/",
        secure=True,
        httponly=True,
        samesite="strict" if same_site == "strict" else "lax",
    )
