"""Sessions ended from elsewhere: by their owner, the team's administrator, and the identity provider."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from pulse_common import audit
from pulse_common.errors import NotFound, Unauthenticated
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT
from ui_iot import session_store
from ui_iot.sessions import IDLE_LIFE, home_of, session_act

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.jwt import LogoutClaims
    from pulse_common.tenancy import Database
    from ui_iot.notices import Notices
    from ui_iot.oidc import IdentityProvider
    from ui_iot.session_store import SessionRow
    from ui_iot.sessions import Session
    from ui_iot.team_turns import Asker
    from ui_iot.vault import Vault
    from ui_iot.visits import Visit

log = structlog.get_logger(__name__)

MOST_SHOWN = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Endings:
    db: Database
    vault: Vault
    provider: IdentityProvider
    notices: Notices
    clock: Clock

    async def list_own(self, principal: Principal) -> Sequence[SessionRow]:
        now = self.clock()
        async with self.db.service_connection("pulse_sessions") as tx:
            return await session_store.list_sessions(
                tx, principal.subject, now=now, idle_since=now - IDLE_LIFE, limit=MOST_SHOWN
            )

    async def end_own(
        self, principal: Principal, session_id: UUID, current: Session | None, visit: Visit
    ) -> None:
        """End one session of the caller.

        Raises:
            NotFound: there is none of this id, or it is somebody else's, which is the same.
        """
        async with self.db.service_tenant_connection("pulse_sessions", home_of(principal)) as tx:
            ended = await session_store.delete_own_session(tx, principal.subject, session_id)
            if ended is None:
                raise NotFound("no such session")
            await audit.record(tx, _by_owner(principal, ended, visit))
        keeps = current is not None and current.session_id != session_id
        await self._after([ended], current if keeps else None)

    async def end_others(self, principal: Principal, current: Session | None, visit: Visit) -> int:
        """End every session of the caller but ``current`` and return how many there were."""
        kept = None if current is None else current.session_id
        async with self.db.service_tenant_connection("pulse_sessions", home_of(principal)) as tx:
            found = await session_store.find_by_subject(tx, principal.subject)
            others = [row for row in found if row.session_id != kept]
            for row in others:
                if await session_store.delete_session(tx, row.session_hash):
                    await audit.record(tx, _by_owner(principal, row, visit))
        await self._after(others, current)
        return len(others)

    async def end_at_word_of_provider(self, claims: LogoutClaims, visit: Visit) -> int:
        """End the sessions that a logout token names, by ``sid``, else all of its subject."""
        async with self.db.service_connection("pulse_sessions") as tx:
            if claims.session_id is not None:
                found = await session_store.find_by_provider_session(
                    tx, claims.session_id, claims.subject
                )
            else:
                found = await session_store.find_by_subject(tx, claims.subject or "")
        for row in found:
            # Each in its own tenant's audit log, so each in a transaction of its own.
            home = TenantId(row.home_tenant_id or PLATFORM_TENANT)
            async with self.db.service_tenant_connection("pulse_sessions", home) as tx:
                if await session_store.delete_session(tx, row.session_hash):
                    await audit.record(tx, _by_provider(row, visit))
            await self.notices.tell(row.subject)
        log.info("sessions_ended", reason="back-channel log-out", count=len(found))
        return len(found)

    async def end_of_member(self, asker: Asker, member_id: UUID, reason: str) -> int:
        """End every session of somebody whose place in the team has changed; the identity provider's are not ours."""
        subject = str(member_id)
        async with self.db.service_tenant_connection("pulse_sessions", asker.tenant) as tx:
            found = await session_store.find_by_subject(tx, subject)
            for row in found:
                if await session_store.delete_session(tx, row.session_hash):
                    await audit.record(tx, _by_administrator(asker, row, reason))
        # Also when none was open here: another replica may just have begun one.
        await self.notices.tell(subject)
        log.info("sessions_ended", reason=reason, count=len(found))
        return len(found)

    async def _after(self, ended: Sequence[SessionRow], current: Session | None) -> None:
        """Close the views of what ended, and its log-in at the identity provider, where one click would bring it back.

        The log-in that ``current`` rests on stays.
        """
        kept = None if current is None else current.principal.session_id
        for subject in {row.subject for row in ended}:
            await self.notices.tell(subject)
        for row in ended:
            if row.oidc_session_id is None or row.oidc_session_id == kept:
                continue
            try:
                refresh_token = self.vault.open(row.tokens_sealed).refresh_token
            except Unauthenticated:
                continue  # sealed with a key that is gone
            await self.provider.revoke(refresh_token)


def _by_owner(principal: Principal, row: SessionRow, visit: Visit) -> audit.Act:
    details = {"session_id": str(row.session_id)}
    return session_act(
        principal, "session.end", visit, object_id=row.oidc_session_id, details=details
    )


def _by_administrator(asker: Asker, row: SessionRow, reason: str) -> audit.Act:
    return audit.Act(
        actor_kind="user",
        actor_id=asker.principal.subject,
        action="session.end",
        object_kind="session",
        object_id=row.oidc_session_id or "",
        reason=reason,
        address=asker.visit.address,
        user_agent=asker.visit.user_agent,
        details={"subject": row.subject, "session_id": str(row.session_id)},
    )


def _by_provider(row: SessionRow, visit: Visit) -> audit.Act:
    return audit.Act(
        actor_kind="service",
        actor_id="identity_provider",
        action="session.end",
        object_kind="session",
        object_id=row.oidc_session_id or "",
        reason="back-channel log-out",
        address=visit.address,
        user_agent=visit.user_agent,
        details={"subject": row.subject, "session_id": str(row.session_id)},
    )
