"""Server-side sessions: the browser holds a random value, the database its hash and the sealed tokens."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from pulse_common import audit
from pulse_common.errors import Unauthenticated, Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT, new_id
from ui_iot import session_store
from ui_iot.vault import SIGNED_OUT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.jwt import JwtVerifier
    from pulse_common.tenancy import Database, Tx
    from ui_iot.notices import Notices
    from ui_iot.oidc import Tokens
    from ui_iot.refresh import Refresher
    from ui_iot.vault import Vault
    from ui_iot.visits import Visit

log = structlog.get_logger(__name__)

ABSOLUTE_LIFE = timedelta(hours=12)
IDLE_LIFE = timedelta(minutes=30)
TOUCH_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """An open session: its hash, its public name, who it is for, and the secret that proves a form is its own."""

    session_hash: bytes
    session_id: UUID
    principal: Principal
    access_token: str
    id_token: str
    csrf_token: str

    def owns(self, csrf_token: str) -> bool:
        # Bytes: a non-ASCII str would raise.
        return hmac.compare_digest(csrf_token.encode("utf-8", "replace"), self.csrf_token.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    db: Database
    vault: Vault
    refresher: Refresher
    verifier: JwtVerifier
    notices: Notices
    clock: Clock

    async def begin(
        self,
        tokens: Tokens,
        previous: str | None,
        visit: Visit,
        action: audit.Action = "session.begin",
    ) -> str:
        """Open a session and return the cookie's value; a session that the browser had before ends.

        ``action`` is what the audit log calls it.

        Raises:
            TokenRefused: the access token is not one for us.
        """
        principal = await self.verifier.verify(tokens.access_token)
        value = secrets.token_urlsafe(32)
        now = self.clock()
        row = session_store.SessionRow(
            session_hash=_hash(value),
            session_id=new_id(),
            subject=principal.subject,
            home_tenant_id=principal.tenant,
            oidc_session_id=principal.session_id,
            tokens_sealed=self.vault.seal(tokens),
            csrf_secret=secrets.token_bytes(32),
            access_expires_at=now + timedelta(seconds=tokens.expires_in),
            address=visit.address,
            user_agent=visit.user_agent,
            created_at=now,
            last_used_at=now,
            expires_at=now + ABSOLUTE_LIFE,
        )
        async with self.db.service_tenant_connection("pulse_sessions", home_of(principal)) as tx:
            if previous is not None:
                await session_store.delete_session(tx, _hash(previous))
            await session_store.create_session(tx, row)
            await audit.record(tx, session_act(principal, action, visit))
        if previous is not None:
            await self.notices.tell(principal.subject)
        log.info("session_began", actor_id=principal.subject)
        return value

    async def find(self, value: str, visit: Visit) -> Session:
        """Return the session of a cookie, with an access token that is good now; the session counts as used.

        Raises:
            Unauthenticated: there is none, it is too old or idle, or the identity provider ended it.
            Unavailable: the identity provider is away and the access token has ended.
        """
        now = self.clock()
        async with self.db.service_connection("pulse_sessions") as tx:
            row = await self._live_row(tx, value)
            if now - row.last_used_at > TOUCH_EVERY:
                await session_store.touch_session(tx, row.session_hash, now, visit.address)
        return await self._open(row)

    async def look(self, value: str) -> Session:
        """As ``find``, for what runs by itself: a page left open does not keep its session from idling out."""
        async with self.db.service_connection("pulse_sessions") as tx:
            row = await self._live_row(tx, value)
        return await self._open(row)

    async def end(self, session: Session, visit: Visit) -> None:
        principal = session.principal
        async with self.db.service_tenant_connection("pulse_sessions", home_of(principal)) as tx:
            await session_store.delete_session(tx, session.session_hash)
            await audit.record(tx, session_act(principal, "session.end", visit))
        await self.notices.tell(principal.subject)
        log.info("session_ended", reason="log-out", actor_id=principal.subject)

    async def _live_row(self, tx: Tx, value: str) -> session_store.SessionRow:
        row = await session_store.find_session(tx, _hash(value))
        if row is None or self._is_over(row):
            raise Unauthenticated(SIGNED_OUT)
        return row

    async def _open(self, found: session_store.SessionRow) -> Session:
        row = await self._with_good_tokens(found)
        tokens = self.vault.open(row.tokens_sealed)
        principal = await self.verifier.verify(tokens.access_token)
        if principal.subject != row.subject:
            # OpenID Connect Core 12.2: a refresh never changes whose tokens they are.
            log.error("session_of_another_subject", actor_id=row.subject)
            raise Unauthenticated(SIGNED_OUT)
        return Session(
            session_hash=row.session_hash,
            session_id=row.session_id,
            principal=principal,
            access_token=tokens.access_token,
            id_token=tokens.id_token,
            csrf_token=base64.urlsafe_b64encode(row.csrf_secret).decode(),
        )

    async def _with_good_tokens(self, row: session_store.SessionRow) -> session_store.SessionRow:
        if not self.refresher.is_due(row):
            return row
        try:
            return await self.refresher.refresh(row)
        except Unavailable:
            if self.clock() >= row.access_expires_at:
                raise
            return row  # refreshed ahead of time; until then the old token is good

    def _is_over(self, row: session_store.SessionRow) -> bool:
        now = self.clock()
        return now >= row.expires_at or now - row.last_used_at > IDLE_LIFE


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()


def home_of(principal: Principal) -> TenantId:
    """Return whose audit log a session belongs in; an operator's is the platform's."""
    return principal.tenant or TenantId(PLATFORM_TENANT)


def session_act(
    principal: Principal,
    action: audit.Action,
    visit: Visit,
    *,
    object_id: str | None = None,
    details: Mapping[str, object] | None = None,
) -> audit.Act:
    """Describe an act upon the caller's own session, or upon another of theirs (``object_id``)."""
    return audit.Act(
        actor_kind="operator" if principal.is_operator else "user",
        actor_id=principal.subject,
        action=action,
        object_kind="session",
        object_id=object_id or principal.session_id or "",
        address=visit.address,
        user_agent=visit.user_agent,
        details=details or {},
    )
