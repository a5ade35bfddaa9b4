"""Server-side sessions: the browser holds a random value, the database its hash and the sealed tokens.

An access token that is about to end is refreshed under the session's row lock, so that of many parallel requests one
calls the identity provider and the others find the result.
"""

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
from pulse_common.errors import Unauthenticated
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT
from ui_iot import store
from ui_iot.oidc import Tokens
from ui_iot.sealing import NotSealedHereError

if TYPE_CHECKING:
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.jwt import JwtVerifier
    from pulse_common.tenancy import Database, Tx
    from ui_iot.oidc import IdentityProvider
    from ui_iot.sealing import Sealer

log = structlog.get_logger(__name__)

ABSOLUTE_LIFE = timedelta(hours=12)
IDLE_LIFE = timedelta(minutes=30)
REFRESH_BEFORE = timedelta(seconds=30)
TOUCH_EVERY = timedelta(minutes=1)
_PURPOSE = "session tokens"
_SIGNED_OUT = "you are signed out"


@dataclass(frozen=True, slots=True)
class Session:
    """An open session: its hash, who it is for, and the secret that proves a form is its own."""

    session_hash: bytes
    principal: Principal
    access_token: str
    csrf_token: str

    def owns(self, csrf_token: str) -> bool:
        # Bytes: a non-ASCII str would raise.
        return hmac.compare_digest(csrf_token.encode("utf-8", "replace"), self.csrf_token.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    db: Database
    sealer: Sealer
    provider: IdentityProvider
    verifier: JwtVerifier
    clock: Clock

    async def begin(self, tokens: Tokens, previous: str | None, address: str | None) -> str:
        """Open a session and return the cookie's value; a session that the browser had before ends.

        Raises:
            TokenRefused: the access token is not one for us.
        """
        principal = await self.verifier.verify(tokens.access_token)
        value = secrets.token_urlsafe(32)
        now = self.clock()
        row = store.SessionRow(
            session_hash=_hash(value),
            subject=principal.subject,
            oidc_session_id=principal.session_id,
            tokens_sealed=self._seal(tokens),
            csrf_secret=secrets.token_bytes(32),
            access_expires_at=now + timedelta(seconds=tokens.expires_in),
            last_used_at=now,
            expires_at=now + ABSOLUTE_LIFE,
        )
        tenant = principal.tenant or TenantId(PLATFORM_TENANT)
        async with self.db.service_tenant_connection("pulse_sessions", tenant) as tx:
            if previous is not None:
                await store.delete_session(tx, _hash(previous))
            await store.create_session(tx, row)
            await audit.record(tx, _act(principal, "session.begin", address))
        log.info("session_began", actor_id=principal.subject)
        return value

    async def find(self, value: str) -> Session:
        """Return the session of a cookie, with an access token that is good now.

        Raises:
            Unauthenticated: there is none, it is too old or idle, or the identity provider ended it.
            Unavailable: the identity provider is away and the access token has ended.
        """
        now = self.clock()
        async with self.db.service_connection("pulse_sessions") as tx:
            row = await store.find_session(tx, _hash(value))
            if row is None or self._is_over(row):
                raise Unauthenticated(_SIGNED_OUT)
            if now - row.last_used_at > TOUCH_EVERY:
                await store.touch_session(tx, row.session_hash, now)
        if now + REFRESH_BEFORE >= row.access_expires_at:
            row = await self._refreshed(row.session_hash)
        return await self._open(row)

    async def end(self, value: str, address: str | None) -> str | None:
        """Close a session and return its ID token, for the identity provider's log-out."""
        async with self.db.service_connection("pulse_sessions") as tx:
            row = await store.find_session(tx, _hash(value))
            if row is None:
                return None
            await store.delete_session(tx, row.session_hash)
            act = audit.Act(
                actor_kind="user",
                actor_id=row.subject,
                action="session.end",
                object_kind="session",
                object_id=row.session_hash.hex()[:16],
                address=address,
            )
            await audit.record(tx, act)
        try:
            return self._tokens(row).id_token
        except Unauthenticated:
            return None

    async def _refreshed(self, session_hash: bytes) -> store.SessionRow:
        try:
            async with self.db.service_connection("pulse_sessions") as tx:
                return await self._refresh_locked(tx, session_hash)
        except Unauthenticated:
            # Refused: the refresh rolled back, the session goes for good.
            async with self.db.service_connection("pulse_sessions") as tx:
                await store.delete_session(tx, session_hash)
            log.info("session_ended", reason="refresh refused")
            raise Unauthenticated(_SIGNED_OUT) from None

    async def _refresh_locked(self, tx: Tx, session_hash: bytes) -> store.SessionRow:
        row = await store.lock_session(tx, session_hash)
        if row is None:
            raise Unauthenticated(_SIGNED_OUT)
        if self.clock() + REFRESH_BEFORE < row.access_expires_at:
            return row  # somebody else refreshed it while we waited for the lock
        tokens = await self.provider.refresh(self._tokens(row).refresh_token)
        expires_at = self.clock() + timedelta(seconds=tokens.expires_in)
        await store.replace_tokens(tx, session_hash, self._seal(tokens), expires_at)
        return row.with_tokens(self._seal(tokens), expires_at)

    async def _open(self, row: store.SessionRow) -> Session:
        tokens = self._tokens(row)
        principal = await self.verifier.verify(tokens.access_token)
        csrf_token = base64.urlsafe_b64encode(row.csrf_secret).decode()
        return Session(row.session_hash, principal, tokens.access_token, csrf_token)

    def _is_over(self, row: store.SessionRow) -> bool:
        now = self.clock()
        return now >= row.expires_at or now - row.last_used_at > IDLE_LIFE

    def _seal(self, tokens: Tokens) -> bytes:
        return self.sealer.seal(tokens.model_dump_json().encode(), _PURPOSE)

    def _tokens(self, row: store.SessionRow) -> Tokens:
        try:
            return Tokens.model_validate_json(self.sealer.open(row.tokens_sealed, _PURPOSE))
        except NotSealedHereError:
            raise Unauthenticated(_SIGNED_OUT) from None


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode("utf-8", "replace")).digest()


def _act(principal: Principal, action: str, address: str | None) -> audit.Act:
    return audit.Act(
        actor_kind="operator" if principal.is_operator else "user",
        actor_id=principal.subject,
        action=action,
        object_kind="session",
        object_id=principal.session_id or "",
        address=address,
    )
