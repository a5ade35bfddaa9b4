"""A tenant's team: who is in it, and every change of it, by the rules of ``members.py`` and under the tenant's lock.

Somebody of another tenant, and an operator, is not there at all.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from pulse_common import entitlements
from pulse_common.errors import Conflict, NotFound, Unavailable
from ui_iot.directory import AddressTaken
from ui_iot.members import ADMIN, is_of, member_of, require_another_admin
from ui_iot.team_turns import Asker, Turn, Turns, find_member

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from uuid import UUID

    from pulse_common.entitlements import Entitlements
    from pulse_common.identity import TenantId
    from ui_iot.directory import Directory
    from ui_iot.endings import Endings
    from ui_iot.members import Account, Member, TeamRole

log = structlog.get_logger(__name__)

PAGE_SIZE = 25
LOOKUPS_AT_ONCE = 5
_TAKEN = "this address cannot be invited"
"""One answer for an address of another tenant, of an operator, and of nobody who may be told of."""


@dataclass(frozen=True, slots=True)
class Page:
    members: Sequence[Member]
    next_first: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Team:
    directory: Directory
    turns: Turns
    endings: Endings

    async def page(self, tenant: TenantId, first: int) -> Page:
        accounts = await self.directory.search(tenant, first, PAGE_SIZE + 1)
        shown = await self._members(accounts[:PAGE_SIZE], tenant)
        more = len(accounts) > PAGE_SIZE
        return Page(shown, first + PAGE_SIZE if more else None)

    async def find(self, tenant: TenantId, member_id: UUID) -> Member:
        member = await find_member(self.directory, member_id, tenant)
        if member is None:
            raise NotFound("no such member")
        return member

    async def invite(self, asker: Asker, email: str, role: TeamRole) -> Member:
        """Make somebody of the asker's tenant and send them the link to choose a password.

        Again for an invitation that is open, it is completed and sent again.  One that fails is undone; if not even
        that can be done, it is listed, and is completed by inviting again.

        Raises:
            Conflict: they are a member already, or the address is taken.
            LimitReached: the plan has no seat left.
        """
        wanted = {"email": email, "role": role}
        async with self.turns.take(asker, "user.invite", "", wanted) as turn:
            held = await entitlements.load(turn.tx)
            member_id = await self._invited(asker.tenant, email, role)
            if member_id is None:
                await self._require_seat(asker.tenant, held)
                member_id = await self._add(turn, asker.tenant, email)
            await turn.record(member_id)
            await self.directory.set_role(member_id, role)
            await self.directory.invite(member_id)
            return await self.find(asker.tenant, member_id)

    async def invite_again(self, asker: Asker, member_id: UUID) -> Member:
        async with self.turns.take(asker, "user.invite", str(member_id), {}) as turn:
            member = await self.find(asker.tenant, member_id)
            if member.state != "invited":
                raise Conflict("they have taken up their invitation")
            if member.role is None:
                raise Conflict("the invitation was cut short: invite the address again")
            await turn.record(member_id, email=member.email, role=member.role, state=member.state)
            await self.directory.invite(member_id)
            return member

    async def change_role(
        self, asker: Asker, member_id: UUID, role: TeamRole, check: Callable[[Member], None]
    ) -> Member:
        """Give a member another role and end their sessions; ``check`` may refuse the member as found.

        Raises:
            Conflict: they are the last administrator.
            LimitReached: to make an administrator, while an unpaid bill leaves the tenant read-only.
        """
        wanted = {"role": role}
        async with self.turns.take(asker, "user.role_change", str(member_id), wanted) as turn:
            member = await self.find(asker.tenant, member_id)
            check(member)
            if member.holds_exactly(role):
                return member
            if role == ADMIN:
                (await entitlements.load(turn.tx)).require_writable()
            else:
                await self._keep_an_admin(asker, member)
            await turn.record(member_id, email=member.email, role=member.role)
            await self.directory.set_role(member_id, role)
            changed = await self.find(asker.tenant, member_id)
        await self.endings.end_of_member(asker, member_id, "role changed")
        try:
            await self.directory.log_out(member_id)
        except Unavailable:
            # Their next log-in, with or without a password, has the new role all the same.
            log.warning("member_not_logged_out", member_id=str(member_id))
        return changed

    async def remove(self, asker: Asker, member_id: UUID) -> None:
        """Delete a member and end their sessions.

        Raises:
            Conflict: they are the last administrator.
        """
        async with self.turns.take(asker, "user.delete", str(member_id), {}) as turn:
            member = await self.find(asker.tenant, member_id)
            await self._keep_an_admin(asker, member)
            await turn.record(member_id, email=member.email, role=member.role)
            # First: of somebody who is deleted, Keycloak tells no application.
            await self.directory.log_out(member_id)
            await self.directory.remove(member_id)
        await self.endings.end_of_member(asker, member_id, "removed")

    async def _invited(self, tenant: TenantId, email: str, role: TeamRole) -> UUID | None:
        """Return who has this very invitation open already; None when nobody has the address."""
        account = await self.directory.find_address(email)
        if account is None:
            return None
        if not is_of(account, tenant):
            raise AddressTaken(_TAKEN)
        member = member_of(account, await self.directory.roles_of(account.id), tenant)
        if member is None:
            raise AddressTaken(_TAKEN)
        if member.state != "invited":
            raise Conflict("they are a member already")
        if member.role not in {None, role}:
            raise Conflict("they have been invited with another role: change it, or send it again")
        return member.id

    async def _require_seat(self, tenant: TenantId, held: Entitlements) -> None:
        """An open invitation has a seat too.  Under the team's lock: two at once cannot take the last one."""
        if held.seats is None:
            return
        taken = await self.directory.search(tenant, 0, held.seats) if held.seats else ()
        held.require_room("seats", len(taken))

    async def _add(self, turn: Turn, tenant: TenantId, email: str) -> UUID:
        try:
            member_id = await self.directory.add(email, tenant)
        except AddressTaken:
            raise AddressTaken(_TAKEN) from None
        turn.undo = partial(self.directory.remove, member_id)
        return member_id

    async def _keep_an_admin(self, asker: Asker, member: Member) -> None:
        if str(member.id) != asker.principal.subject:
            return  # the asker is another one: looked up in this same turn
        others: list[Member] = []
        first: int | None = 0
        while first is not None and not any(
            m.is_working_admin for m in others if m.id != member.id
        ):
            page = await self.page(asker.tenant, first)
            others, first = [*others, *page.members], page.next_first
        require_another_admin(member, others)

    async def _members(self, accounts: Sequence[Account], tenant: TenantId) -> Sequence[Member]:
        free = asyncio.Semaphore(LOOKUPS_AT_ONCE)

        async def look(account: Account) -> Member | None:
            async with free:
                return member_of(account, await self.directory.roles_of(account.id), tenant)

        found = await asyncio.gather(*(look(account) for account in accounts))
        return [member for member in found if member is not None]
