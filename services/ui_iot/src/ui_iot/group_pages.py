"""The pages of device groups: the list, and one with its devices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid5

from starlette.responses import RedirectResponse, Response

from pulse_common import events_groups as calls
from pulse_common.errors import Conflict, LimitReached, Malformed, NotFound, Stale
from pulse_common.http import Endpoint, Guarded
from pulse_common.ids import new_id, parse_id
from ui_iot import group_store, people, rendering
from ui_iot.forms import read_form
from ui_iot.handlers import request_id
from ui_iot.people import ADMINISTRATORS, EVERYBODY

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.errors import AppError
    from pulse_common.identity import Principal
    from ui_iot.group_work import GroupWork

GROUP = "/groups/{group_id}"
MOST_SHOWN = 500
_REFUSED = (Conflict, LimitReached, Malformed, Stale)


def group_pages(pages: GroupPages) -> list[Endpoint]:
    listed = [
        ("GET", "/groups", EVERYBODY, pages.index),
        ("GET", GROUP, EVERYBODY, pages.show),
        ("POST", "/groups", ADMINISTRATORS, pages.create),
        ("POST", GROUP, ADMINISTRATORS, pages.rename),
        ("POST", f"{GROUP}/members", ADMINISTRATORS, pages.change_members),
        ("POST", f"{GROUP}/delete", ADMINISTRATORS, pages.delete),
    ]
    return [
        Guarded(method=method, path=path, roles=roles, handler=handler)
        for method, path, roles, handler in listed
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupPages:
    work: GroupWork

    async def index(self, request: Request, principal: Principal) -> Response:
        return await self._index(request, principal, "", None)

    async def create(self, request: Request, principal: Principal) -> Response:
        """Make a group; its id comes of the form's own key, so that a form that is sent twice makes one."""
        form = await read_form(request)
        name = form.get("name", "")
        asked = calls.CreateGroupRequest(
            access_token=request.state.access_token,
            group_id=uuid5(people.tenant_of(principal), form.get("key", "")),
            name=name,
            request_id=request_id(),
        )
        try:
            made = await self.work.ask(asked)
        except _REFUSED as refused:
            return await self._index(request, principal, name, refused)
        return RedirectResponse(f"/groups/{made.group_id}", 303)

    async def show(self, request: Request, principal: Principal) -> Response:
        return await self._group(request, principal, None)

    async def rename(self, request: Request, principal: Principal) -> Response:
        form = await read_form(request)
        version = form.get("version", "")
        if not version.isdecimal():
            raise Malformed("the form cannot be read")
        asked = calls.RenameGroupRequest(
            access_token=request.state.access_token,
            group_id=_group_id(request),
            name=form.get("name", ""),
            version=int(version),
            request_id=request_id(),
        )
        return await self._do(request, principal, asked)

    async def change_members(self, request: Request, principal: Principal) -> Response:
        form = await read_form(request)
        asked = calls.ChangeMembersRequest(
            access_token=request.state.access_token,
            group_id=_group_id(request),
            join=_ids(form.get("join", "")),
            leave=_ids(form.get("leave", "")),
            request_id=request_id(),
        )
        return await self._do(request, principal, asked)

    async def delete(self, request: Request, principal: Principal) -> Response:
        await self.work.find(principal, _group_id(request))
        asked = calls.DeleteGroupRequest(
            access_token=request.state.access_token,
            group_id=_group_id(request),
            request_id=request_id(),
        )
        await self.work.ask(asked)
        return RedirectResponse("/groups", 303)

    async def _do(self, request: Request, principal: Principal, asked: calls.GroupCall) -> Response:
        try:
            await self.work.ask(asked)
        except _REFUSED as refused:
            return await self._group(request, principal, refused)
        return RedirectResponse(f"/groups/{asked.group_id}", 303)

    async def _index(
        self, request: Request, principal: Principal, name: str, error: AppError | None
    ) -> Response:
        request.state.viewer = await people.find_viewer(self.work.db, principal)
        context: dict[str, object] = {
            "groups": await self.work.list(principal),
            "key": str(new_id()),
            "name": name,
            "error": None if error is None else error.message,
        }
        return rendering.page(request, "groups.html", context, error.status if error else 200)

    async def _group(
        self, request: Request, principal: Principal, error: AppError | None
    ) -> Response:
        group_id = _group_id(request)
        group = await self.work.find(principal, group_id)
        async with self.work.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            members = await group_store.list_members(tx, group_id, None, MOST_SHOWN)
            devices = await group_store.list_names(tx, MOST_SHOWN)
        inside = {one["id"] for one in members}
        context: dict[str, object] = {
            "group": group,
            "members": members,
            "others": [one for one in devices if one["id"] not in inside],
            "error": None if error is None else error.message,
        }
        return rendering.page(request, "group.html", context, error.status if error else 200)


def _ids(text: str) -> list[UUID]:
    return [parse_id(text, "device")] if text else []


def _group_id(request: Request) -> UUID:
    try:
        return parse_id(request.path_params["group_id"], "group_id")
    except Malformed:
        # On a page a mistyped address is simply nothing.
        raise NotFound("no such device group") from None
