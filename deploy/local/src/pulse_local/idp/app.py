"""Wiring, and every route of the identity provider on one screen."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pulse_local.idp.admin import AdminApi
from pulse_local.idp.back_channel import BackChannel
from pulse_local.idp.codes import Codes, LogIns
from pulse_local.idp.endpoints import Endpoints
from pulse_local.idp.invitations import ACTION_PATH, Invitations
from pulse_local.idp.keys import load_or_create_key
from pulse_local.idp.login import ACTION, LogInPages
from pulse_local.idp.logout import LogOutPages
from pulse_local.idp.pages import SecurityHeaders, error_page, icon, stylesheet
from pulse_local.idp.realm import build_realm
from pulse_local.idp.server import ProtocolServer
from pulse_local.idp.sessions import Sessions
from pulse_local.idp.settings import REALM_PATH
from pulse_local.idp.throttle import Throttle
from pulse_local.idp.tokens import Minter

if TYPE_CHECKING:
    from collections.abc import Callable

    from starlette.requests import Request

    from pulse_local.idp.settings import Settings

PROTOCOL = f"{REALM_PATH}/protocol/openid-connect"


def create_app(settings: Settings, clock: Callable[[], float] = time.time) -> Starlette:
    realm, key = build_realm(settings), load_or_create_key(settings.data_dir)
    minter = Minter(realm, key, clock)
    server = ProtocolServer(
        realm=realm,
        sessions=Sessions(clock),
        codes=Codes(clock),
        minter=minter,
        clock=clock,
    )
    back_channel = BackChannel(settings.backchannel_logout_uri, minter)
    invitations = Invitations(realm, settings.smtp_port, clock)
    admin = AdminApi(server=server, invitations=invitations, back_channel=back_channel)
    log_in = LogInPages(server=server, log_ins=LogIns(clock), throttle=Throttle(clock), clock=clock)
    endpoints, log_out = Endpoints(server=server, key=key), LogOutPages(server, back_channel)

    async def not_found(_: Request, __: Exception) -> Response:
        return error_page("There is no such page.", settings.post_logout_uri, 404)

    return Starlette(
        routes=[
            Route(f"{REALM_PATH}/.well-known/openid-configuration", endpoints.discovery),
            Route(f"{PROTOCOL}/certs", endpoints.certs),
            Route(f"{PROTOCOL}/auth", log_in.authorize),
            Route(ACTION, log_in.authenticate, methods=["POST"]),
            Route(f"{PROTOCOL}/token", endpoints.token, methods=["POST"]),
            Route(f"{PROTOCOL}/revoke", endpoints.revoke, methods=["POST"]),
            Route(f"{PROTOCOL}/userinfo", endpoints.userinfo, methods=["GET", "POST"]),
            Route(f"{PROTOCOL}/logout", log_out.log_out, methods=["GET", "POST"]),
            Route(ACTION_PATH, invitations.answer, methods=["GET", "POST"]),
            *admin.routes(),
            Route("/resources/pulse/pulse.css", _stylesheet),
            Route(ACTION_PATH, invitations.answer, methods=["GET", "POST"]),
            *admin.routes(),
            Route("/resources/pulse/icon.svg", _icon),
            Route("/health/ready", _ready),
        ],
        middleware=[
            Middleware(BaseHTTPMiddleware, dispatch=SecurityHeaders(settings.redirect_uri))
        ],
        exception_handlers={404: not_found},
    )


async def _ready(_: Request) -> Response:
    return JSONResponse({"status": "UP"})


async def _stylesheet(_: Request) -> Response:
    return stylesheet()


async def _icon(_: Request) -> Response:
    return icon()
