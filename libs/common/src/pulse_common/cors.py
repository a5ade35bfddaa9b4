"""Which other web pages may read the API's answers from a browser: none, until a setting names them.

Our own, since Starlette's middleware adds request headers that nobody listed, tells strangers that credentials are
welcome, and leaves ``Vary: Origin`` out of the answers that a cache may then hand to a listed page.
A listed page is let read; whether a request may be made at all is for the CSRF checks and the credentials.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field
from pydantic_settings import NoDecode
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

LONGEST_MAX_AGE = 7200
"""Seconds; Chromium forgets a preflight after two hours whatever it was told."""

METHODS = ("DELETE", "GET", "PATCH", "POST", "PUT")
EXPOSED_HEADERS = ("etag", "ratelimit", "ratelimit-policy", "retry-after", "x-request-id")
_HEADER_NAME = re.compile(r"[a-z0-9!#$%&'^_`|~.+-]+")  # RFC 9110's token, without the asterisk
_HOST = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
_LOCAL = frozenset({"localhost", "127.0.0.1"})
_DEFAULT_PORTS = {"https": 443, "http": 80}


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def check_origin(text: str) -> str:
    """Return an origin exactly as browsers send it, so that comparing strings is enough.

    Raises:
        ValueError: a wildcard, ``null``, plain http off this machine, or another spelling.
    """
    if "*" in text or text.lower() == "null":
        raise ValueError(f"{text} would let any page in; name each origin")
    parts = urlsplit(text)
    port = parts.port  # raises ValueError for one that is no number
    host = parts.hostname or ""
    if parts.scheme != "https" and not (parts.scheme == "http" and host in _LOCAL):
        raise ValueError(f"{text} is not https")
    shown = "" if port is None else f":{port}"
    if (
        not _HOST.fullmatch(host)
        or port == _DEFAULT_PORTS[parts.scheme]
        or text != f"{parts.scheme}://{host}{shown}"
    ):
        raise ValueError(f"{text} is not how a browser writes an origin: https://host or host:port")
    return text


def _check_header(text: str) -> str:
    name = text.lower()
    if not _HEADER_NAME.fullmatch(name):
        raise ValueError(f"{text} is not the name of one header")
    return name


Origins = Annotated[
    tuple[Annotated[str, AfterValidator(check_origin)], ...], NoDecode, BeforeValidator(_split)
]
HeaderNames = Annotated[
    tuple[Annotated[str, AfterValidator(_check_header)], ...], NoDecode, BeforeValidator(_split)
]


class CorsSettings(BaseModel):
    """Settings that a service with an API for other origins has besides its own; lists are comma-separated."""

    cors_allowed_origins: Origins = ()
    cors_allowed_headers: HeaderNames = ()
    cors_allow_credentials: bool = False
    cors_max_age_seconds: int = Field(default=600, ge=0, le=LONGEST_MAX_AGE)


def add_cors(app: Starlette, settings: CorsSettings) -> None:
    """Let the listed origins read ``app``'s answers; with none listed the app stays as it is."""
    if settings.cors_allowed_origins:
        app.add_middleware(Cors, settings=settings)


@dataclass(frozen=True, slots=True)
class Cors:
    """Pure ASGI, so that streams and WebSockets pass through untouched."""

    app: ASGIApp
    settings: CorsSettings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        origin = self._listed(headers)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            await self._preflight(headers, origin)(scope, receive, send)
            return

        async def marked_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._mark(MutableHeaders(scope=message), origin)
            await send(message)

        await self.app(scope, receive, marked_send)

    def _listed(self, headers: Headers) -> str | None:
        sent = headers.getlist("origin")
        known = len(sent) == 1 and sent[0] in self.settings.cors_allowed_origins
        return sent[0] if known else None

    def _mark(self, headers: MutableHeaders, origin: str | None) -> None:
        headers.add_vary_header("Origin")
        if origin is None:
            return
        headers["access-control-allow-origin"] = origin
        headers["access-control-expose-headers"] = ", ".join(EXPOSED_HEADERS)
        if self.settings.cors_allow_credentials:
            headers["access-control-allow-credentials"] = "true"

    def _preflight(self, asked: Headers, origin: str | None) -> Response:
        """Answer for the app, which must never see a preflight: it carries no credentials."""
        names = _split(",".join(asked.getlist("access-control-request-headers")).lower())
        assert isinstance(names, tuple)
        allowed = (
            origin is not None
            and asked["access-control-request-method"] in METHODS
            and set(names) <= set(self.settings.cors_allowed_headers)
        )
        answer = Response(status_code=204 if allowed else 403)
        answer.headers["vary"] = (
            "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"
        )
        if origin is None or not allowed:
            return answer
        answer.headers["access-control-allow-origin"] = origin
        answer.headers["access-control-allow-methods"] = ", ".join(METHODS)
        answer.headers["access-control-allow-headers"] = ", ".join(
            self.settings.cors_allowed_headers
        )
        answer.headers["access-control-max-age"] = str(self.settings.cors_max_age_seconds)
        if self.settings.cors_allow_credentials:
            answer.headers["access-control-allow-credentials"] = "true"
        return answer
