"""The whole HTTP surface of this service, on one screen."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles

from pulse_common.http import Endpoint, Guarded, Open
from pulse_common.ratelimit import Limit
from ui_iot.api_routes import ROOT, api_endpoints
from ui_iot.people import ADMINISTRATORS, ANYBODY, EVERYBODY
from ui_iot.rendering import STATIC

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.api import Api
    from ui_iot.backchannel import BackChannel
    from ui_iot.changes import Changes
    from ui_iot.handlers import Pages
    from ui_iot.login import Login
    from ui_iot.session_api import SessionApi
    from ui_iot.session_pages import SessionPages
    from ui_iot.socket import LiveSocket

    Handler = Callable[[Request, Principal], Awaitable[Response]]

DEVICE = "/devices/{device_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handlers:
    login: Login
    back_channel: BackChannel
    pages: Pages
    session_pages: SessionPages
    api: Api
    changes: Changes
    session_api: SessionApi


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often one address may begin (and, apart, end) a log-in, and one person may use the API."""

    auth_per_minute: int = 30
    api_per_minute: int = 600


def endpoints(made: Handlers, rates: Rates = Rates()) -> list[Endpoint]:
    login, pages, sessions = made.login, made.pages, made.session_pages
    return [
        Open(method="GET", path="/", why="what Pulse is, and the way in", handler=login.welcome),
        Open(
            method="GET",
            path="/auth/login",
            why="begins a log-in",
            handler=login.begin,
            limits=(_auth_limit("login", rates),),
        ),
        Open(
            method="GET",
            path="/auth/callback",
            why="ends a log-in; bound by state, nonce and PKCE to the browser that began it",
            handler=login.finish,
            limits=(_auth_limit("callback", rates),),
        ),
        Open(
            method="POST",
            path="/auth/backchannel-logout",
            why="the identity provider's signed logout token is the credential",
            handler=made.back_channel.log_out,
        ),
        _guarded("POST", "/auth/logout", ANYBODY, login.log_out),
        _guarded("GET", "/sessions", ANYBODY, sessions.show),
        _guarded("GET", "/sessions/end-others", ANYBODY, sessions.confirm_end_others),
        _guarded("POST", "/sessions/end-others", ANYBODY, sessions.end_others),
        _guarded("POST", "/sessions/{session_id}/end", ANYBODY, sessions.end),
        _guarded("GET", "/devices", EVERYBODY, pages.devices),
        _guarded("GET", "/devices/new", ADMINISTRATORS, pages.new_device),
        _guarded("POST", "/devices", ADMINISTRATORS, pages.create_device),
        _guarded("GET", DEVICE, EVERYBODY, pages.device),
        _guarded("GET", f"{DEVICE}/enrol", ADMINISTRATORS, pages.enrol),
        _guarded("POST", f"{DEVICE}/enrolment-tokens", ADMINISTRATORS, pages.new_token),
        _guarded("POST", f"{DEVICE}/revoke", ADMINISTRATORS, pages.revoke),
        *_limited(api_endpoints(made.api, made.changes, made.session_api), rates),
    ]


def _limited(endpoints: list[Endpoint], rates: Rates) -> list[Endpoint]:
    limit = Limit(
        name="api",
        amount=rates.api_per_minute,
        seconds=60,
        per="user",
        when_store_is_down="allow",
    )
    return [
        dataclasses.replace(endpoint, limits=(*endpoint.limits, limit))
        if isinstance(endpoint, Guarded)
        else endpoint
        for endpoint in endpoints
    ]


def _auth_limit(name: str, rates: Rates) -> Limit:
    # It spares work: who logs in, and how often they may guess, is the identity provider's to decide.
    return Limit(
        name=name,
        amount=rates.auth_per_minute,
        seconds=60,
        per="address",
        when_store_is_down="allow",
    )


def extra_routes(socket: LiveSocket) -> list[BaseRoute]:
    """The live view guards itself (session and Origin); the static files hold nothing private."""
    return [
        WebSocketRoute(f"{ROOT}/ws", socket.serve),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def _guarded(method: str, path: str, roles: frozenset[str], handler: Handler) -> Guarded:
    return Guarded(method=method, path=path, roles=roles, handler=handler)
