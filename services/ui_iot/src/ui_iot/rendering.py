"""Templates and the headers that every page carries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import structlog
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.responses import HTMLResponse

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from pulse_common.errors import AppError

FOLDER = Path(__file__).parent
STATIC = FOLDER / "static"
STRIPES_PAGES = "https://checkout.stripe.com https://billing.stripe.com"
"""Where the billing page's forms end: browsers hold a form's redirects to the policy too."""

_PAGES = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def page(
    request: Request, template: str, context: dict[str, object], status: int = 200
) -> HTMLResponse:
    """Render a page for whoever is signed in (``request.state.viewer``)."""
    session = getattr(request.state, "session", None)
    shared = {
        "viewer": getattr(request.state, "viewer", None),
        "csrf_token": session.csrf_token if session else "",
    }
    html = _PAGES.get_template(template).render({**shared, **context})
    response = HTMLResponse(html, status)
    if session:
        # For scripts to keep in memory; another origin cannot read the header.
        response.headers["x-csrf-token"] = session.csrf_token
    return response


def error_page(request: Request, error: AppError) -> HTMLResponse | None:
    """Answer a browser's own navigation with a page; scripts and API clients get problem JSON."""
    if "text/html" not in request.headers.get("accept", "") or "hx-request" in request.headers:
        return None
    context: dict[str, object] = {
        "status": error.status,
        "title": error.title,
        "detail": error.message,
        "request_id": structlog.contextvars.get_contextvars().get("request_id", ""),
    }
    return page(request, "error.html", context, error.status)


class SecurityHeaders:
    """Pure ASGI.  The policy allows our own files and nothing inline.

    Forms may also lead to the identity provider and to Stripe's own pages.  What does not say that it may be kept (the
    static files) is private, redirects and refusals included.
    """

    def __init__(self, app: ASGIApp, *, issuer: str) -> None:
        self._app = app
        provider = urlsplit(issuer)
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "font-src 'self'; connect-src 'self'; "
            f"form-action 'self' {provider.scheme}://{provider.netloc} {STRIPES_PAGES}; "
            "frame-ancestors 'none'; base-uri 'none'"
        )
        self._headers = [
            (b"content-security-policy", policy.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"same-origin"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=()"),
            (b"strict-transport-security", b"max-age=31536000"),
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [*message.get("headers", []), *self._headers]
                if not scope["path"].startswith("/static/"):
                    headers = [h for h in headers if h[0] != b"cache-control"]
                    headers.append((b"cache-control", b"no-store"))
                message["headers"] = headers
            await send(message)

        await self._app(scope, receive, with_headers if scope["type"] == "http" else send)
