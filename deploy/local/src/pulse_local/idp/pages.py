"""The pages that people see: plain HTML from templates, every value escaped, no script, no inline style."""

from __future__ import annotations

import html
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.responses import HTMLResponse, Response

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request

_FOLDER = Path(__file__).parent
_TEMPLATES = {path.stem: Template(path.read_text()) for path in _FOLDER.glob("templates/*.html")}
STYLESHEET = (_FOLDER / "static" / "pulse.css").read_bytes()
ICON = (_FOLDER / "static" / "icon.svg").read_bytes()


def render(name: str, status: int = 200, **values: str) -> HTMLResponse:
    """Fill a template into the frame; ``name`` is the template's, values are text, never markup."""
    content = _fill(name, values)
    frame = _TEMPLATES["frame"].substitute(title=html.escape(values["title"]), content=content)
    return HTMLResponse(frame, status)


def error_page(message: str, home: str, status: int = 400) -> HTMLResponse:
    return render("error", status, title="We are sorry", message=message, home=home)


def log_in_page(*, action: str, username: str = "", problem: str = "") -> HTMLResponse:
    return _with_notice("login", problem, {"action": action, "username": username})


def proof_page(*, action: str, username: str, problem: str = "") -> HTMLResponse:
    """Ask somebody whose session is open for the password again, and for nobody else's."""
    return _with_notice("proof", problem, {"action": action, "username": username})


def password_page(*, action: str, problem: str = "") -> HTMLResponse:
    """Let somebody who was invited choose a password."""
    return _with_notice("password", problem, {"action": action})


def _with_notice(name: str, problem: str, values: dict[str, str]) -> HTMLResponse:
    notice = _fill("problem", {"problem": problem}) if problem else ""
    content = _TEMPLATES[name].substitute(
        {key: html.escape(text) for key, text in values.items()}, notice=notice
    )
    return HTMLResponse(_TEMPLATES["frame"].substitute(title="Sign in to Pulse", content=content))


def _fill(name: str, values: dict[str, str]) -> str:
    return _TEMPLATES[name].substitute({key: html.escape(text) for key, text in values.items()})


def stylesheet() -> Response:
    return Response(STYLESHEET, media_type="text/css", headers={"cache-control": "max-age=3600"})


def icon() -> Response:
    """Answer with what browsers show in the tab; a page that names none has them ask for /favicon.ico."""
    return Response(ICON, media_type="image/svg+xml", headers={"cache-control": "max-age=3600"})


class SecurityHeaders:
    """Adds to every answer what keeps pages from being framed, scripted, sniffed or cached."""

    def __init__(self, redirect_uri: str) -> None:
        target = urlsplit(redirect_uri)
        # Chromium holds form-action against redirects too, and a log-in ends in one to the client.
        self._policy = (
            "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
            f"form-action 'self' {target.scheme}://{target.netloc}"
        )

    async def __call__(
        self, request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        response.headers["content-security-policy"] = self._policy
        response.headers["x-content-type-options"] = "nosniff"
        response.headers["x-frame-options"] = "DENY"
        response.headers["referrer-policy"] = "no-referrer"
        response.headers["cross-origin-opener-policy"] = "same-origin"
        response.headers["permissions-policy"] = "camera=(), geolocation=(), microphone=()"
        response.headers.setdefault("cache-control", "no-store")
        return response
