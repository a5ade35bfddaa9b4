"""The JSON API about device groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common import events_groups as calls
from pulse_common.http import parse_model, read_body, read_model
from pulse_common.ids import new_id, parse_id
from ui_iot import group_models as models
from ui_iot.api import active_tenant, as_json
from ui_iot.conditional import answer, check_version
from ui_iot.handlers import request_id
from ui_iot.idempotency_key import read_key
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Row
    from ui_iot.group_work import GroupWork
    from ui_iot.once import Once

MEMBERS_A_PAGE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupApi:
    work: GroupWork
    once: Once

    async def groups(self, request: Request, principal: Principal) -> Response:
        rows = await self.work.list(principal)
        return answer(request, models.GroupsAnswer(groups=[_show(row) for row in rows]))

    async def group(self, request: Request, principal: Principal) -> Response:
        row = await self.work.find(principal, _group_id(request))
        return answer(request, _show(row), row["version"])

    async def create(self, request: Request, principal: Principal) -> Response:
        key = read_key(request)
        body = parse_model(await read_body(request), models.GroupBody)

        async def work(group_id: UUID) -> bytes:
            asked = calls.CreateGroupRequest(
                access_token=request.state.access_token,
                group_id=group_id,
                name=body.name,
                request_id=request_id(),
            )
            await self.work.ask(asked)
            return _show(await self.work.find(principal, group_id)).model_dump_json().encode()

        if key is None:
            async with active_tenant(self.work.db, principal):
                pass
            return _created(await work(new_id()))
        fingerprint = f"POST {request.url.path} {body.model_dump_json()}".encode()
        known = await self.once.run(principal, key, fingerprint, work)
        response = _created(known.body)
        if known.is_replay:
            response.headers["idempotency-replayed"] = "true"
        return response

    async def rename(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.GroupBody)
        row = await self.work.find(principal, _group_id(request))
        asked = calls.RenameGroupRequest(
            access_token=request.state.access_token,
            group_id=row["id"],
            name=body.name,
            version=check_version(request, row["version"]),
            request_id=request_id(),
        )
        await self.work.ask(asked)
        return await self.group(request, principal)

    async def delete(self, request: Request, principal: Principal) -> Response:
        row = await self.work.find(principal, _group_id(request))
        asked = calls.DeleteGroupRequest(
            access_token=request.state.access_token, group_id=row["id"], request_id=request_id()
        )
        await self.work.ask(asked)
        return Response(None, 204)

    async def devices(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.GroupDevicesQuery)
        row = await self.work.find(principal, _group_id(request))
        found = await self.work.members(principal, row["id"], query.after, MEMBERS_A_PAGE + 1)
        shown = [models.GroupDeviceAnswer(**one) for one in found[:MEMBERS_A_PAGE]]
        more = len(found) > MEMBERS_A_PAGE
        page = models.GroupDevicesAnswer(devices=shown, next_after=shown[-1].id if more else None)
        return answer(request, page)

    async def change_members(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.MembersBody)
        row = await self.work.find(principal, _group_id(request))
        asked = calls.ChangeMembersRequest(
            access_token=request.state.access_token,
            group_id=row["id"],
            join=[parse_id(one, "join") for one in body.join],
            leave=[parse_id(one, "leave") for one in body.leave],
            request_id=request_id(),
        )
        done = await self.work.ask(asked)
        return as_json(models.MembersAnswer(joined=done.joined, left=done.left), 200)


def _group_id(request: Request) -> UUID:
    return parse_id(request.path_params["group_id"], "group_id")


def _show(row: Row) -> models.GroupAnswer:
    return models.GroupAnswer(**{name: value for name, value in row.items() if name != "version"})


def _created(body: bytes) -> Response:
    made = models.GroupAnswer.model_validate_json(body)
    headers = {"location": f"/api/v2/groups/{made.id}"}
    return Response(body, 201, headers, media_type="application/json")
