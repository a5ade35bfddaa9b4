"""One change of a tenant's people at a time, by somebody who is an administrator now, and in the audit log.

The tenant's lock is a transaction's, held over the calls of Keycloak, so that two administrators cannot remove each
other.  The audit row is written in that transaction before the change is made there, and committed after it: an audit
log that cannot be written stops the change.  A change that failed or was refused has a row of its own.
"""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import structlog

from pulse_common import audit
from pulse_common.errors import AppError, Conflict, Forbidden, NotFound, Unavailable
from pulse_common.ids import parse_id
from ui_iot import people, team_store
from ui_iot.handlers import request_id
from ui_iot.members import member_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
    from uuid import UUID

    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database, TenantTx
    from ui_iot.directory import Directory
    from ui_iot.members import Member
    from ui_iot.visits import Visit

log = structlog.get_logger(__name__)

MOST_AT_ONCE = 3
"""Each holds a database connection while Keycloak is asked."""
Action = Literal["user.invite", "user.role_change", "user.delete"]
LONGEST_SECONDS = 20.0
"""Shorter than an Idempotency-Key's lease."""
ASK_AGAIN_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks for a change, and from where."""

    principal: Principal
    visit: Visit

    @property
    def tenant(self) -> TenantId:
        return people.tenant_of(self.principal)


@dataclass(slots=True, kw_only=True)
class Turn:
    """One change under way: what the audit log will say of it, and how it is undone when it fails half-way."""

    tx: TenantTx
    act: audit.Act
    undo: Callable[[], Awaitable[None]] | None = None

    async def record(self, object_id: UUID, **was: object) -> None:
        """Write the audit row, which is kept if the change is then made; ``was`` is the member before it."""
        self.act = dataclasses.replace(self.act, object_id=str(object_id), before=was or None)
        await audit.record(self.tx, self.act)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    db: Database
    directory: Directory
    _free: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    @asynccontextmanager
    async def take(
        self, asker: Asker, action: Action, object_id: str, wanted: Mapping[str, object]
    ) -> AsyncIterator[Turn]:
        """Wait for the tenant's turn and give it, to an administrator of today.

        Raises:
            Forbidden: the tenant is suspended, or the asker is no administrator any more.
            Conflict: others change the team all the time.
            Unavailable: it took too long.
        """
        act = _act(asker, action, object_id, wanted)
        turn: Turn | None = None
        try:
            async with asyncio.timeout(LONGEST_SECONDS), self._free, self._locked(asker) as tx:
                await self._require_administrator(asker)
                turn = Turn(tx=tx, act=act)
                yield turn
        except TimeoutError as error:
            late = Unavailable("the identity provider took too long: look, and try again")
            await self._failed(asker, turn, act, late)
            raise late from error
        except AppError as error:
            await self._failed(asker, turn, act, error)
            raise

    @asynccontextmanager
    async def _locked(self, asker: Asker) -> AsyncIterator[TenantTx]:
        # Asked for again and again rather than waited for: a waiting connection would be lost to all others.
        for _ in range(int(LONGEST_SECONDS / 2 / ASK_AGAIN_SECONDS)):
            async with self.db.tenant_connection(asker.tenant) as tx:
                await people.require_active_tenant(tx)
                if await team_store.try_lock(tx):
                    yield tx
                    return
            await asyncio.sleep(ASK_AGAIN_SECONDS)
        raise Conflict("somebody else is changing the team: try again")

    async def _require_administrator(self, asker: Asker) -> None:
        """Look the asker up: their token may be minutes older than the loss of their role."""
        member = await find_member(
            self.directory, parse_id(asker.principal.subject, "sub"), asker.tenant
        )
        if member is None or not member.is_working_admin:
            raise Forbidden("you are no administrator of this tenant any more")

    async def _failed(
        self, asker: Asker, turn: Turn | None, act: audit.Act, error: AppError
    ) -> None:
        if turn is not None and turn.undo is not None:
            await self._undo(turn.undo)
        failed = isinstance(error, Unavailable)
        refused = dataclasses.replace(
            turn.act if turn else act,
            outcome="failure" if failed else "denied",
            reason=error.message,
        )
        try:
            async with self.db.tenant_connection(asker.tenant) as tx:
                await audit.record(tx, refused)
        except Unavailable:
            log.error("team_change_not_recorded", action=act.action, object_id=refused.object_id)  # noqa: TRY400 -- the error itself is answered

    async def _undo(self, undo: Callable[[], Awaitable[None]]) -> None:
        try:
            await undo()
        except (Unavailable, Conflict, NotFound) as error:
            log.warning("invitation_left_half_done", reason=error.message)


async def find_member(directory: Directory, user_id: UUID, tenant: TenantId) -> Member | None:
    """Return somebody as ``tenant`` may see them: not at all when they are another's, or an operator."""
    account = await directory.find(user_id)
    if account is None or account.tenant != str(tenant):
        return None
    return member_of(account, await directory.roles_of(user_id), tenant)


def _act(asker: Asker, action: Action, object_id: str, wanted: Mapping[str, object]) -> audit.Act:
    return audit.Act(
        actor_kind="user",
        actor_id=asker.principal.subject,
        action=action,
        object_kind="user",
        object_id=object_id,
        address=asker.visit.address,
        request_id=request_id(),
        user_agent=asker.visit.user_agent,
        after=wanted or None,
    )
