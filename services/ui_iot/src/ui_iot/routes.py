"""The whole HTTP surface of this service, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles

from pulse_common.http import Endpoint, Guarded, Open
from ui_iot.api_routes import ROOT, api_endpoints
from ui_iot.people import ADMINISTRATORS, EVERYBODY
from ui_iot.rendering import STATIC

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.api import Api
    from ui_iot.handlers import Pages
    from ui_iot.login import Login
    from ui_iot.socket import LiveSocket

    Handler = Callable[[Request, Principal], Awaitable[Response]]

DEVICE = "/devices/{device_id}"
ANYBODY = EVERYBODY | {"operator", "operator-admin"}


def endpoints(login: Login, pages: Pages, api: Api) -> list[Endpoint]:
    return [
        Open(method="GET", path="/", why="what Pulse is, and the way in", handler=login.welcome),
        Open(method="GET", path="/auth/login", why="begins a log-in", handler=login.begin),
        Open(
            method="GET",
            path="/auth/callback",
            why="ends a log-in; bound by state, nonce and PKCE to the browser that began it",
            handler=login.finish,
        ),
        _guarded("POST", "/auth/logout", ANYBODY, login.log_out),
        _guarded("GET", "/devices", EVERYBODY, pages.devices),
        _guarded("GET", "/devices/new", ADMINISTRATORS, pages.new_device),
        _guarded("POST", "/devices", ADMINISTRATORS, pages.create_device),
        _guarded("GET", DEVICE, EVERYBODY, pages.device),
        _guarded("GET", f"{DEVICE}/enrol", ADMINISTRATORS, pages.enrol),
        _guarded("POST", f"{DEVICE}/enrolment-tokens", ADMINISTRATORS, pages.new_token),
        _guarded("POST", f"{DEVICE}/revoke", ADMINISTRATORS, pages.revoke),
        *api_endpoints(api),
    ]


def extra_routes(socket: LiveSocket) -> list[BaseRoute]:
    """The live view guards itself (session and Origin); the static files hold nothing private."""
    return [
        WebSocketRoute(f"{ROOT}/ws", socket.serve),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def _guarded(method: str, path: str, roles: frozenset[str], handler: Handler) -> Guarded:
    return Guarded(method=method, path=path, roles=roles, handler=handler)
