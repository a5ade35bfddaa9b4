"""Do a request once however often it comes: its Idempotency-Key is claimed, its answer kept sealed for 24 hours.

The claim is committed before the work, so that a second request sees it, and it carries the id of the device to make.
When nobody knows how the work ended (a crash, a neighbour that did not answer) the next request takes over after the
lease, with the same id: provision_api makes that device once.  A refusal changed nothing and frees the key.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from pulse_common.errors import AppError, Conflict, KeyReused, Unavailable
from pulse_common.ids import new_id
from ui_iot import answer_store, people
from ui_iot.sealing import NotSealedHereError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database
    from ui_iot.answer_store import Claim
    from ui_iot.sealing import Sealer

log = structlog.get_logger(__name__)

KEEP = timedelta(hours=24)
LEASE = timedelta(seconds=30)
"""Longer than the work may take: a call on the bus gives up after a few seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    is_replay: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    db: Database
    sealer: Sealer
    clock: Clock

    async def run(
        self,
        principal: Principal,
        key: str,
        request: bytes,
        work: Callable[[UUID], Awaitable[bytes]],
    ) -> Answer:
        """Return the answer of ``work``, or the one that it gave when the same request came before.

        Raises:
            Forbidden: the person's tenant is not active.
            KeyReused: the key came before with another request.
            Conflict: the same request is under way, or its answer can no longer be opened.
            AppError: what ``work`` raised; the key is free again unless it was ``Unavailable``.
        """
        tenant = people.tenant_of(principal)
        claim = answer_store.Claim(
            actor_id=principal.subject,
            key_hash=hashlib.sha256(key.encode()).digest(),
            request_hash=hashlib.sha256(request).digest(),
            device_id=new_id(),
        )
        begun = await self._begin(tenant, claim)
        if isinstance(begun, bytes):
            return Answer(self._open(tenant, claim, begun), is_replay=True)
        try:
            body = await work(begun)
        except Unavailable:
            await self._lease(tenant, claim, self.clock())
            raise
        except AppError:
            await self._release(tenant, claim)
            raise
        async with self.db.tenant_connection(tenant) as tx:
            sealed = self.sealer.seal(body, _purpose(tenant, claim))
            await answer_store.keep_answer(tx, claim, sealed)
        return Answer(body, is_replay=False)

    async def _begin(self, tenant: TenantId, claim: Claim) -> UUID | bytes:
        """Return the device to make, or the sealed answer of the request that came before."""
        now = self.clock()
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
            await answer_store.delete_expired(tx, now)
            if await answer_store.claim(tx, claim, now + LEASE, now + KEEP):
                return claim.device_id
            known = await answer_store.lock(tx, claim.actor_id, claim.key_hash)
            if known is None:
                raise Conflict("the request with this key has just ended: send it again")
            if known.request_hash != claim.request_hash:
                raise KeyReused("this Idempotency-Key came with another request before")
            if known.answer_sealed is not None:
                return known.answer_sealed
            if now < known.leased_until:
                raise Conflict("the request with this key is under way")
            await answer_store.lease(tx, claim, now + LEASE)
            return known.device_id

    async def _lease(self, tenant: TenantId, claim: Claim, until: datetime) -> None:
        try:
            async with self.db.tenant_connection(tenant) as tx:
                await answer_store.lease(tx, claim, until)
        except Unavailable:
            log.info("idempotency_lease_left", reason="the database is away")

    async def _release(self, tenant: TenantId, claim: Claim) -> None:
        async with self.db.tenant_connection(tenant) as tx:
            await answer_store.release(tx, claim)

    def _open(self, tenant: TenantId, claim: Claim, sealed: bytes) -> bytes:
        try:
            return self.sealer.open(sealed, _purpose(tenant, claim))
        except NotSealedHereError:
            raise Conflict("it was done, and its answer can no longer be read") from None


def _purpose(tenant: TenantId, claim: Claim) -> str:
    """Name the row, so that an answer that was moved to another row does not open there."""
    return f"idempotent answer {tenant} {claim.key_hash.hex()} {claim.actor_id}"
