"""The two cookies: one binds a log-in to its browser, the other is the session."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

from pulse_local.idp.settings import REALM_PATH

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

BROWSER = "AUTH_SESSION_ID"
IDENTITY = "KEYCLOAK_IDENTITY"
PATH = f"{REALM_PATH}/"
_VALUE = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


def read(request: Request, name: str) -> str:
    """Return the cookie's value when it can be one of ours, else nothing."""
    value = request.cookies.get(name, "")
    return value if _VALUE.fullmatch(value) else ""


def write(response: Response, name: str, value: str) -> None:
    response.set_cookie(name, value, path=PATH, httponly=True, secure=True, samesite="lax")


def forget(response: Response, name: str) -> None:
    response.delete_cookie(name, path=PATH, httponly=True, secure=True, samesite="lax")


def new_value() -> str:
    return secrets.token_urlsafe(32)
