"""The pages of a tenant's team, for its administrators: who is in it, inviting, one member."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from starlette.responses import RedirectResponse, Response

from pulse_common.errors import Conflict, Malformed, NotFound
from pulse_common.ids import parse_id
from ui_iot import people, rendering
from ui_iot.forms import read_form
from ui_iot.members import CUSTOMER, TeamRole
from ui_iot.team_api import CONFIRM_INVITATION
from ui_iot.team_models import ADDRESS, LONGEST_ADDRESS, read_cursor
from ui_iot.team_turns import Asker

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.errors import AppError
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.callers import Callers
    from ui_iot.members import Member
    from ui_iot.team import Team


@dataclass(frozen=True, slots=True, kw_only=True)
class TeamPages:
    db: Database
    team: Team
    callers: Callers

    async def show(self, request: Request, principal: Principal) -> Response:
        first = read_cursor(request.query_params.get("after", "0"))
        await self._view(request, principal)
        page = await self.team.page(people.tenant_of(principal), first)
        context: dict[str, object] = {
            "members": page.members,
            "own_id": principal.subject,
            "next_url": None if page.next_first is None else f"/team?after={page.next_first}",
        }
        return rendering.page(request, "team.html", context)

    async def new_invitation(self, request: Request, principal: Principal) -> Response:
        await self._view(request, principal)
        self.callers.require_recent(principal, CONFIRM_INVITATION)
        return _invitation_form(request, email="", role=CUSTOMER, error=None)

    async def invite(self, request: Request, principal: Principal) -> Response:
        await self._view(request, principal)
        self.callers.require_recent(principal, CONFIRM_INVITATION)
        form = await read_form(request)
        email, role = form.get("email", "").strip().lower(), parse_role(form.get("role", ""))
        if len(email) > LONGEST_ADDRESS or re.fullmatch(ADDRESS, email) is None:
            error: AppError = Malformed("this is no e-mail address that can be invited")
            return _invitation_form(request, email=email, role=role, error=error)
        try:
            await self.team.invite(self._asker(request, principal), email, role)
        except (Malformed, Conflict) as refused:
            return _invitation_form(request, email=email, role=role, error=refused)
        return RedirectResponse("/team", 303)

    async def member(self, request: Request, principal: Principal) -> Response:
        """Show somebody with all that can be done to them, which needs a recent log-in."""
        member_id = await self._recent(request, principal)
        member = await self.team.find(people.tenant_of(principal), member_id)
        return _member_page(request, principal, member, error=None)

    async def change_role(self, request: Request, principal: Principal) -> Response:
        member_id = await self._recent(request, principal)
        role = parse_role((await read_form(request)).get("role", ""))
        asker = self._asker(request, principal)
        try:
            await self.team.change_role(asker, member_id, role, _whatever_it_was)
        except Conflict as refused:
            return await self._refused(request, principal, member_id, refused)
        return RedirectResponse("/team", 303)

    async def remove(self, request: Request, principal: Principal) -> Response:
        member_id = await self._recent(request, principal)
        try:
            await self.team.remove(self._asker(request, principal), member_id)
        except Conflict as refused:
            return await self._refused(request, principal, member_id, refused)
        return RedirectResponse("/team", 303)

    async def invite_again(self, request: Request, principal: Principal) -> Response:
        member_id = await self._recent(request, principal)
        try:
            await self.team.invite_again(self._asker(request, principal), member_id)
        except Conflict as refused:
            return await self._refused(request, principal, member_id, refused)
        return RedirectResponse("/team", 303)

    async def _refused(
        self, request: Request, principal: Principal, member_id: UUID, error: Conflict
    ) -> Response:
        member = await self.team.find(people.tenant_of(principal), member_id)
        return _member_page(request, principal, member, error=error)

    async def _recent(self, request: Request, principal: Principal) -> UUID:
        await self._view(request, principal)
        member_id = _member_id(request)
        self.callers.require_recent(principal, f"/team/{member_id}")
        return member_id

    async def _view(self, request: Request, principal: Principal) -> None:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)

    def _asker(self, request: Request, principal: Principal) -> Asker:
        return Asker(principal, self.callers.visit_of(request))


def parse_role(text: str) -> TeamRole:
    """Read one of the two roles that a team has.

    Raises:
        Malformed: for any other text.
    """
    for role in get_args(TeamRole):
        if role == text:
            return role  # type: ignore[no-any-return]  # one of the literal's own values
    raise Malformed("choose one of the roles")


def _whatever_it_was(_: Member) -> None:
    """A person who sends the form means the member, whatever their role was when it was drawn."""


def _invitation_form(
    request: Request, *, email: str, role: TeamRole, error: AppError | None
) -> Response:
    context: dict[str, object] = {
        "email": email,
        "role": role,
        "error": error.message if error else None,
    }
    return rendering.page(request, "team_invite.html", context, error.status if error else 200)


def _member_page(
    request: Request, principal: Principal, member: Member, *, error: Conflict | None
) -> Response:
    context: dict[str, object] = {
        "member": member,
        "is_own": str(member.id) == principal.subject,
        "error": error.message if error else None,
    }
    return rendering.page(request, "team_member.html", context, error.status if error else 200)


def _member_id(request: Request) -> UUID:
    try:
        return parse_id(request.path_params["member_id"], "member_id")
    except Malformed:
        # On a page a mistyped address is simply nothing.
        raise NotFound("no such member") from None
