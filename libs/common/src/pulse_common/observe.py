"""What every HTTP request leaves behind: a request id, one log line, and its place in the metrics."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from uuid import uuid4

import structlog
from starlette.routing import Match

from pulse_common import metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = structlog.get_logger(__name__)

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{8,64}")
QUIET_PATHS = frozenset(
    {
        *("/healthz", "/readyz", "/metrics"),
        # The broker's questions come by the thousand; a refusal has a line of its own, and all are in the metrics.
        *(f"/api/v1/internal/mqtt-{question}" for question in ("auth", "acl", "denied")),
    }
)


class ObserveRequests:
    """Pure ASGI, so that streams and WebSockets pass through untouched."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        # Set at the start and left at the end: what answers for a bug runs outside of this and names the request too.
        structlog.contextvars.unbind_contextvars("actor_id", "tenant_id")
        structlog.contextvars.bind_contextvars(request_id=request_id)
        started = time.perf_counter()
        status = 500

        async def observed_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *message.get("headers", []),
                    (b"x-request-id", request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, observed_send)
        finally:
            _record(scope, status, time.perf_counter() - started)


def _request_id(scope: Scope) -> str:
    """Keep the proxy's id when it is harmless, else make one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value.decode("latin-1")):
            return str(value.decode("latin-1"))
    return uuid4().hex


def _record(scope: Scope, status: int, seconds: float) -> None:
    route = _route_pattern(scope)
    metrics.HTTP_REQUESTS.labels(scope["method"], route, str(status)).inc()
    metrics.HTTP_SECONDS.labels(scope["method"], route).observe(seconds)
    if scope["path"] in QUIET_PATHS:
        return
    log.info(
        "request_answered",
        method=scope["method"],
        route=route,
        status=status,
        milliseconds=round(seconds * 1000, 1),
    )


def _route_pattern(scope: Scope) -> str:
    """Name the route, not the path: paths carry ids, and anybody can invent them without end."""
    app = scope.get("app")
    for route in app.routes if app else ():
        match, _ = route.matches(scope)
        if match is not Match.NONE:
            return getattr(route, "path", "mounted") or "mounted"
    return "unmatched"
