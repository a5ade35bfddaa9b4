"""The pages of routes, for a tenant's administrators: the list and its log, one route, and all that is done with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode
from uuid import UUID, uuid5

from starlette.responses import RedirectResponse, Response

from pulse_common import delivery_events as calls
from pulse_common.errors import AppError, Conflict, LimitReached, Malformed, NotFound, Stale
from pulse_common.http import Endpoint, Guarded
from pulse_common.ids import new_id, parse_id
from ui_iot import cookies, people, rendering, route_forms, route_store
from ui_iot.forms import read_form
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.identity import Principal
    from ui_iot.cookies import SealedCookies
    from ui_iot.route_work import RouteWork

ROUTE = "/routes/{route_id}"
MOST_DEAD_SHOWN = 50
MOST_GROUPS_SHOWN = 60
SHOW_ONCE_SECONDS = 120
_REFUSED = (Conflict, LimitReached, Malformed, Stale)
_SAID = {
    calls.VerifyRouteRequest: "challenge",
    calls.TestRouteRequest: "test message",
}


def route_pages(pages: RoutePages) -> list[Endpoint]:
    shown = [("/routes", pages.index), ("/routes/new", pages.new), (ROUTE, pages.show)]
    done = [
        ("/routes", pages.create),
        (ROUTE, pages.change),
        (f"{ROUTE}/verify", pages.verify),
        (f"{ROUTE}/test", pages.test),
        (f"{ROUTE}/pause", pages.pause),
        (f"{ROUTE}/resume", pages.resume),
        (f"{ROUTE}/secret", pages.rotate),
        (f"{ROUTE}/replay", pages.replay),
        (f"{ROUTE}/delete", pages.delete),
    ]
    return [
        Guarded(method=method, path=path, roles=ADMINISTRATORS, handler=handler)
        for method, listed in (("GET", shown), ("POST", done))
        for path, handler in listed
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePages:
    work: RouteWork
    sealed: SealedCookies

    async def index(self, request: Request, principal: Principal) -> Response:
        await self._view(request, principal)
        routes = await self.work.list(principal)
        context = {
            "routes": routes,
            "names": {row["id"]: row["name"] for row in routes},
            "waiting": await self.work.backlog(principal),
            **await self._log(request, principal, {}),
        }
        return rendering.page(request, "routes.html", context)

    async def new(self, request: Request, principal: Principal) -> Response:
        await self._view(request, principal)
        return await self._form(request, principal, str(new_id()), route_forms.blank(), None)

    async def create(self, request: Request, principal: Principal) -> Response:
        """Make a route; its id comes of the form's own key, so that a form that is sent twice makes one."""
        await self._view(request, principal)
        form = await read_form(request)
        key = form.get("key", "")
        # Of the tenant as well: nobody may choose the id of another's route.
        route_id = uuid5(people.tenant_of(principal), key)
        wanted = route_forms.of_form(form)
        try:
            await self.work.find(principal, route_id)
        except NotFound:
            pass
        else:
            return RedirectResponse(f"/routes/{route_id}", 303)
        try:
            _, secret = await self.work.create(principal, route_id, route_forms.read(wanted))
        except _REFUSED as refused:
            return await self._form(request, principal, key, wanted, refused)
        return self._show_once(route_id, secret)

    async def show(self, request: Request, principal: Principal) -> Response:
        await self._view(request, principal)
        route_id = _route_id(request)
        once = self.sealed.get(request, cookies.ROUTE_SECRET)
        mine = once is not None and once["route_id"] == str(route_id)
        secret = once["secret"] if once is not None and mine else None
        response = await self._route(request, principal, {"secret": secret})
        if mine:
            cookies.clear(response, cookies.ROUTE_SECRET)
        return response

    async def change(self, request: Request, principal: Principal) -> Response:
        await self._view(request, principal)
        await self.work.find(principal, _route_id(request))
        form = await read_form(request)
        wanted = route_forms.of_form(form)
        try:
            version = form.get("version", "")
            if not version.isdecimal():
                raise Malformed("the form cannot be read")
            body = route_forms.read(wanted)
            await self.work.change(principal, _route_id(request), body, int(version))
        except _REFUSED as refused:
            return await self._route(request, principal, {"wanted": wanted}, refused)
        return _back(request)

    async def verify(self, request: Request, principal: Principal) -> Response:
        return await self._try_out(calls.VerifyRouteRequest, request, principal)

    async def test(self, request: Request, principal: Principal) -> Response:
        return await self._try_out(calls.TestRouteRequest, request, principal)

    async def pause(self, request: Request, principal: Principal) -> Response:
        return await self._ask(calls.PauseRouteRequest, request, principal)

    async def resume(self, request: Request, principal: Principal) -> Response:
        return await self._ask(calls.ResumeRouteRequest, request, principal)

    async def rotate(self, request: Request, principal: Principal) -> Response:
        route_id = _route_id(request)
        made = await self.work.ask(calls.RotateSecretRequest, principal, route_id)
        return self._show_once(route_id, made.secret or "")

    async def replay(self, request: Request, principal: Principal) -> Response:
        await self._view(request, principal)
        try:
            body = route_forms.read_replay(await read_form(request))
            count = await self.work.replay(principal, _route_id(request), body)
        except (*_REFUSED, NotFound) as refused:
            return await self._route(request, principal, {}, refused)
        return await self._route(request, principal, {"replayed": count})

    async def delete(self, request: Request, principal: Principal) -> Response:
        await self.work.ask(calls.DeleteRouteRequest, principal, _route_id(request))
        return RedirectResponse("/routes", 303)

    async def _ask(
        self, kind: type[calls.RouteAct], request: Request, principal: Principal
    ) -> Response:
        try:
            await self.work.ask(kind, principal, _route_id(request))
        except _REFUSED as refused:
            await self._view(request, principal)
            return await self._route(request, principal, {}, refused)
        return _back(request)

    async def _try_out(
        self, kind: type[calls.RouteAct], request: Request, principal: Principal
    ) -> Response:
        await self._view(request, principal)
        try:
            made = await self.work.attempt(kind, principal, _route_id(request))
        except _REFUSED as refused:
            return await self._route(request, principal, {}, refused)
        return await self._route(request, principal, {"made": made, "said": _SAID[kind]})

    async def _route(
        self,
        request: Request,
        principal: Principal,
        more: dict[str, object],
        error: AppError | None = None,
    ) -> Response:
        route = await self.work.find(principal, _route_id(request))
        async with self.work.db.tenant_connection(people.tenant_of(principal)) as tx:
            dead = await route_store.list_dead(tx, route["id"], limit=MOST_DEAD_SHOWN)
        waiting = await self.work.backlog(principal)
        context = {
            "route": route,
            "wanted": route_forms.of_row(route),
            "dead": dead,
            "waiting": None if waiting is None else waiting.get(route["id"], 0),
            "names": {route["id"]: route["name"]},
            **dict.fromkeys(("secret", "made", "said", "replayed")),
            **await self._choices(principal),
            **await self._log(request, principal, {"route_id": str(route["id"])}),
            "error": error.message if error else None,
            **more,
        }
        return rendering.page(request, "route.html", context, error.status if error else 200)

    async def _form(
        self,
        request: Request,
        principal: Principal,
        key: str,
        wanted: dict[str, Any],
        error: AppError | None,
    ) -> Response:
        context = {
            "key": key,
            "wanted": wanted,
            "error": error.message if error else None,
            **await self._choices(principal),
        }
        return rendering.page(request, "route_new.html", context, error.status if error else 200)

    async def _choices(self, principal: Principal) -> dict[str, object]:
        async with self.work.db.tenant_connection(people.tenant_of(principal)) as tx:
            groups = await route_store.list_groups(tx, MOST_GROUPS_SHOWN)
        return {"catalogue": calls.CATALOGUE, "groups": groups}

    async def _log(
        self, request: Request, principal: Principal, fixed: dict[str, str]
    ) -> dict[str, object]:
        given = dict(request.query_params) if request.method == "GET" else {}
        log = await self.work.deliveries(principal, route_forms.read_log_query({**given, **fixed}))
        asked = {name: value for name, value in given.items() if value and name != "after"}
        older = {**asked, "after": str(log.next_after)} if log.next_after else None
        return {
            "log": log.deliveries,
            "filters": given,
            "catalogue": calls.CATALOGUE,
            "older": urlencode(older) if older else None,
        }

    async def _view(self, request: Request, principal: Principal) -> None:
        async with self.work.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)

    def _show_once(self, route_id: UUID, secret: str) -> Response:
        response = RedirectResponse(f"/routes/{route_id}", 303)
        value = {"route_id": str(route_id), "secret": secret}
        self.sealed.set(response, cookies.ROUTE_SECRET, value, SHOW_ONCE_SECONDS)
        return response


def _back(request: Request) -> Response:
    return RedirectResponse(f"/routes/{_route_id(request)}", 303)


def _route_id(request: Request) -> UUID:
    try:
        return parse_id(request.path_params["route_id"], "route_id")
    except Malformed:
        # On a page a mistyped address is simply nothing.
        raise NotFound("no such route") from None
