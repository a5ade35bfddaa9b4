"""The whole HTTP surface of this service, on one screen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.routing import BaseRoute, Mount, WebSocketRoute
from starlette.staticfiles import StaticFiles

from pulse_common.http import Endpoint, Guarded, Open
from ui_iot import limits, telemetry_pages
from ui_iot.alert_pages import AlertPages, alert_pages
from ui_iot.alert_work import AlertWork
from ui_iot.api_routes import ROOT, api_endpoints
from ui_iot.audit_operations import audit_pages
from ui_iot.fleet.pages import FleetPages
from ui_iot.gate_pages import GatePages
from ui_iot.group_pages import GroupPages, group_pages
from ui_iot.group_work import GroupWork
from ui_iot.handover_api import HandoverApi
from ui_iot.handover_pages import HandoverPages
from ui_iot.people import ADMINISTRATORS, ANYBODY, EVERYBODY
from ui_iot.rendering import STATIC
from ui_iot.route_pages import RoutePages, route_pages
from ui_iot.route_work import RouteWork
from ui_iot.telemetry_api import TelemetryApi
from ui_iot.token_pages import TokenPages

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.api import Api
    from ui_iot.audit_trail import AuditTrail
    from ui_iot.backchannel import BackChannel
    from ui_iot.changes import Changes
    from ui_iot.gate_api import GateApi
    from ui_iot.handlers import Pages
    from ui_iot.limits import Rates
    from ui_iot.login import Login
    from ui_iot.session_api import SessionApi
    from ui_iot.session_pages import SessionPages
    from ui_iot.socket import LiveSocket
    from ui_iot.team_api import TeamApi
    from ui_iot.team_pages import TeamPages

    Handler = Callable[[Request, Principal], Awaitable[Response]]

DEVICE = "/devices/{device_id}"
MEMBER = "/team/{member_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class People:
    login: Login
    back_channel: BackChannel
    session_pages: SessionPages
    session_api: SessionApi
    team_pages: TeamPages
    team_api: TeamApi


@dataclass(frozen=True, slots=True, kw_only=True)
class Devices:
    pages: Pages
    api: Api
    changes: Changes
    gate: GateApi


def endpoints(
    people: People, devices: Devices, audit: AuditTrail, rates: Rates = limits.SHIPPED
) -> list[Endpoint]:
    api = api_endpoints(
        devices.api, devices.changes, people.session_api, people.team_api, devices.gate, audit
    )
    pages = [
        *_signing_in(people.login, people.back_channel, rates),
        *_sessions(people.session_pages),
        *_devices(devices.pages),
        *_gate(GatePages(api=devices.gate)),
        *TokenPages(devices.pages).endpoints(),
        *_handovers(devices),
        *_routes(devices),
        *_groups_and_alerts(devices),
        *telemetry_pages.endpoints(TelemetryApi(db=devices.api.db, clock=devices.api.clock)),
        *FleetPages(devices.api.db).endpoints(),
        *_team(people.team_pages),
        *audit_pages(audit),
    ]
    return limits.limited([*pages, *api], rates)


def _signing_in(login: Login, back_channel: BackChannel, rates: Rates) -> list[Endpoint]:
    return [
        Open(method="GET", path="/", why="what Pulse is, and the way in", handler=login.welcome),
        Open(
            method="GET",
            path="/auth/login",
            why="begins a log-in",
            handler=login.begin,
            limits=(limits.of_log_in("login", rates),),
        ),
        Open(
            method="GET",
            path="/auth/callback",
            why="ends a log-in; bound by state, nonce and PKCE to the browser that began it",
            handler=login.finish,
            limits=(limits.of_log_in("callback", rates),),
        ),
        Open(
            method="POST",
            path="/auth/backchannel-logout",
            why="the identity provider's signed logout token is the credential",
            handler=back_channel.log_out,
        ),
        _guarded("POST", "/auth/logout", ANYBODY, login.log_out),
    ]


def _sessions(sessions: SessionPages) -> list[Endpoint]:
    return [
        _guarded("GET", "/sessions", ANYBODY, sessions.show),
        _guarded("GET", "/sessions/end-others", ANYBODY, sessions.confirm_end_others),
        _guarded("POST", "/sessions/end-others", ANYBODY, sessions.end_others),
        _guarded("POST", "/sessions/{session_id}/end", ANYBODY, sessions.end),
    ]


def _devices(pages: Pages) -> list[Endpoint]:
    return [
        _guarded("GET", "/devices", EVERYBODY, pages.devices),
        _guarded("GET", "/devices/new", ADMINISTRATORS, pages.new_device),
        _guarded("POST", "/devices", ADMINISTRATORS, pages.create_device),
        _guarded("GET", DEVICE, EVERYBODY, pages.device),
        _guarded("GET", f"{DEVICE}/enrol", ADMINISTRATORS, pages.enrol),
        _guarded("POST", f"{DEVICE}/enrolment-tokens", ADMINISTRATORS, pages.new_token),
        _guarded("POST", f"{DEVICE}/revoke", ADMINISTRATORS, pages.revoke),
    ]


def _gate(pages: GatePages) -> list[Endpoint]:
    return [
        _guarded("GET", f"{DEVICE}/refusals", EVERYBODY, pages.refusals),
        _guarded("GET", "/findings", EVERYBODY, pages.findings),
    ]


def _handovers(devices: Devices) -> list[Endpoint]:
    api = HandoverApi(db=devices.api.db, bus=devices.api.bus, clock=devices.api.clock)
    return HandoverPages(api=api, pages=devices.pages).endpoints()


def _routes(devices: Devices) -> list[Endpoint]:
    work = RouteWork(db=devices.changes.db, bus=devices.changes.bus)
    return route_pages(RoutePages(work=work, sealed=devices.pages.sealed))


def _groups_and_alerts(devices: Devices) -> list[Endpoint]:
    db, bus = devices.changes.db, devices.changes.bus
    return [
        *group_pages(GroupPages(work=GroupWork(db=db, bus=bus))),
        *alert_pages(AlertPages(work=AlertWork(db=db, bus=bus))),
    ]


def _team(pages: TeamPages) -> list[Endpoint]:
    return [
        _guarded("GET", "/team", ADMINISTRATORS, pages.show),
        _guarded("POST", "/team", ADMINISTRATORS, pages.invite),
        _guarded("GET", "/team/invite", ADMINISTRATORS, pages.new_invitation),
        _guarded("GET", MEMBER, ADMINISTRATORS, pages.member),
        _guarded("POST", f"{MEMBER}/role", ADMINISTRATORS, pages.change_role),
        _guarded("POST", f"{MEMBER}/remove", ADMINISTRATORS, pages.remove),
        _guarded("POST", f"{MEMBER}/invitation", ADMINISTRATORS, pages.invite_again),
    ]


def extra_routes(socket: LiveSocket) -> list[BaseRoute]:
    """The live view guards itself (session and Origin); the static files hold nothing private."""
    return [
        WebSocketRoute(f"{ROOT}/ws", socket.serve),
        Mount("/static", StaticFiles(directory=STATIC)),
    ]


def _guarded(method: str, path: str, roles: frozenset[str], handler: Handler) -> Guarded:
    return Guarded(method=method, path=path, roles=roles, handler=handler)
