"""One refresh a session, however many requests need it: refresh tokens rotate, so a second use would end the session.

Within this process the requests of one session share one call; among replicas the session's row lock lets one through
and the others find its result.  The lock is held while the identity provider answers, hence the bound on how many such
transactions may be open: a slow identity provider must not take the whole pool from requests that do not need it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from pulse_common import audit
from pulse_common.errors import Unauthenticated, Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT
from ui_iot import session_store
from ui_iot.vault import SIGNED_OUT

if TYPE_CHECKING:
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Tx
    from ui_iot.oidc import IdentityProvider
    from ui_iot.vault import Vault

log = structlog.get_logger(__name__)

REFRESH_BEFORE = timedelta(seconds=30)
MOST_AT_ONCE = 4
LONGEST_WAIT_SECONDS = 15.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresher:
    db: Database
    vault: Vault
    provider: IdentityProvider
    clock: Clock
    _flights: dict[bytes, asyncio.Task[session_store.SessionRow]] = field(default_factory=dict)
    _places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_AT_ONCE))

    def is_due(self, row: session_store.SessionRow) -> bool:
        return self.clock() + REFRESH_BEFORE >= row.access_expires_at

    async def refresh(self, found: session_store.SessionRow) -> session_store.SessionRow:
        """Return the session with good tokens.

        Raises:
            Unauthenticated: the identity provider has ended it; its row is gone.
            Unavailable: the identity provider is away; the session waits for it.
        """
        session_hash = found.session_hash
        flight = self._flights.get(session_hash)
        if flight is None:
            flight = asyncio.create_task(self._refresh(found))
            self._flights[session_hash] = flight
            flight.add_done_callback(lambda done: self._landed(session_hash, done))
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                # Shielded: a browser that goes away must not lose the rotated token between its issue and our commit.
                return await asyncio.shield(flight)
        except TimeoutError:
            raise Unavailable("the identity provider does not answer") from None

    def _landed(self, session_hash: bytes, done: asyncio.Task[session_store.SessionRow]) -> None:
        del self._flights[session_hash]
        if not done.cancelled():
            done.exception()  # seen, even if every request that waited for it has gone

    async def _refresh(self, found: session_store.SessionRow) -> session_store.SessionRow:
        # As the session's own tenant, whose audit log its end belongs in.
        home = TenantId(found.home_tenant_id or PLATFORM_TENANT)
        async with (
            self._places,
            self.db.service_tenant_connection("pulse_sessions", home) as tx,
        ):
            row = await session_store.lock_session(tx, found.session_hash)
            if row is None:
                raise Unauthenticated(SIGNED_OUT)
            if not self.is_due(row):
                return row  # another replica refreshed it while we waited for the lock
            try:
                return await self._renew(tx, row)
            except Unauthenticated:
                await self._end(tx, row)
        # Outside of the transaction, which keeps the end.
        raise Unauthenticated(SIGNED_OUT)

    async def _renew(self, tx: Tx, row: session_store.SessionRow) -> session_store.SessionRow:
        tokens = await self.provider.refresh(self.vault.open(row.tokens_sealed).refresh_token)
        expires_at = self.clock() + timedelta(seconds=tokens.expires_in)
        renewed = row.with_tokens(self.vault.seal(tokens), expires_at)
        await session_store.replace_tokens(tx, row.session_hash, renewed.tokens_sealed, expires_at)
        return renewed

    async def _end(self, tx: Tx, row: session_store.SessionRow) -> None:
        await session_store.delete_session(tx, row.session_hash)
        act = audit.Act(
            actor_kind="service",
            actor_id="identity_provider",
            action="session.end",
            object_kind="session",
            object_id=row.oidc_session_id or "",
            reason="refresh refused",
            # Where the session was last used: what asked just now may have been a page left open.
            address=row.address,
            user_agent=row.user_agent,
            details={"subject": row.subject, "session_id": str(row.session_id)},
        )
        await audit.record(tx, act)
        log.info("session_ended", reason="refresh refused", actor_id=row.subject)
