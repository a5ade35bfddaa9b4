"""The JSON API about the team; the same rules as the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common.http import parse_model, read_body, read_model
from pulse_common.ids import parse_id
from ui_iot import people
from ui_iot import team_models as models
from ui_iot.api import active_tenant
from ui_iot.conditional import answer, check_tag, tag_of
from ui_iot.idempotency_key import read_key
from ui_iot.operations import read_query
from ui_iot.team_turns import Asker

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.callers import Callers
    from ui_iot.members import Member
    from ui_iot.once import Once
    from ui_iot.team import Team

CONFIRM_INVITATION = "/team/invite"


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamApi:
    db: Database
    team: Team
    once: Once
    callers: Callers

    async def members(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, models.TeamQuery)
        await self._require_active(principal)
        page = await self.team.page(people.tenant_of(principal), query.after)
        shown = [show(member) for member in page.members]
        return answer(request, models.TeamAnswer(members=shown, next_after=page.next_first))

    async def member(self, request: Request, principal: Principal) -> Response:
        member_id = _member_id(request)
        await self._require_active(principal)
        return answer(request, show(await self.team.find(people.tenant_of(principal), member_id)))

    async def invite(self, request: Request, principal: Principal) -> Response:
        key = read_key(request)
        body = parse_model(await read_body(request), models.InviteBody)
        self.callers.require_recent(principal, CONFIRM_INVITATION)
        asker = self._asker(request, principal)

        async def invite() -> bytes:
            invited = await self.team.invite(asker, body.email.lower(), body.role)
            return show(invited).model_dump_json().encode()

        if key is None:
            return _created(await invite())
        fingerprint = f"POST {request.url.path} {body.model_dump_json()}".encode()
        # The id is Keycloak's to give: an invitation that was cut short is found again by its address.
        known = await self.once.run(principal, key, fingerprint, lambda _: invite())
        response = _created(known.body)
        if known.is_replay:
            response.headers["idempotency-replayed"] = "true"
        return response

    async def invite_again(self, request: Request, principal: Principal) -> Response:
        member_id = _member_id(request)
        self.callers.require_recent(principal, f"/team/{member_id}")
        member = await self.team.invite_again(self._asker(request, principal), member_id)
        return _json(show(member))

    async def change_role(self, request: Request, principal: Principal) -> Response:
        member_id = _member_id(request)
        body = await read_model(request, models.ChangeRoleBody)
        self.callers.require_recent(principal, f"/team/{member_id}")

        def check(found: Member) -> None:
            check_tag(request, show(found))

        asker = self._asker(request, principal)
        changed = show(await self.team.change_role(asker, member_id, body.role, check))
        shown = changed.model_dump_json().encode()
        return Response(shown, 200, {"etag": tag_of(shown, None)}, media_type="application/json")

    async def remove(self, request: Request, principal: Principal) -> Response:
        member_id = _member_id(request)
        self.callers.require_recent(principal, f"/team/{member_id}")
        await self.team.remove(self._asker(request, principal), member_id)
        return Response(None, 204)

    def _asker(self, request: Request, principal: Principal) -> Asker:
        return Asker(principal, self.callers.visit_of(request))

    async def _require_active(self, principal: Principal) -> None:
        async with active_tenant(self.db, principal):
            pass


def show(member: Member) -> models.MemberAnswer:
    return models.MemberAnswer(
        id=member.id,
        email=member.email,
        name=member.name,
        role=member.role,
        status=member.state,
        added_at=member.added_at,
    )


def _member_id(request: Request) -> UUID:
    return parse_id(request.path_params["member_id"], "member_id")


def _created(body: bytes) -> Response:
    made = models.MemberAnswer.model_validate_json(body)
    headers = {"location": f"/api/v2/team/{made.id}"}
    return Response(body, 201, headers, media_type="application/json")


def _json(shown: models.MemberAnswer) -> Response:
    return Response(shown.model_dump_json(), media_type="application/json")
