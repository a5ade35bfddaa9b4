"""Revoke a CA certificate, as an operator asks over NATS: nothing that it issued counts any more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256

from cert_worker import store_revocation, store_rollover
from cert_worker.rollover import changed
from pulse_common import audit, events, outbox
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from datetime import datetime

    from cert_worker.authority import Authorities
    from cert_worker.domain import Issuer
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx


class RevokingIssuers:
    def __init__(self, *, database: Database, authorities: Authorities, clock: Clock) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock

    async def revoke(self, request: events.RevokeIssuerRequest) -> events.RevokeIssuerReply:
        """Stop issuing, tell everybody, and take the issuer out of the broker's bundle.  Repeating it is harmless.

        Raises:
            NotFound: there is no such issuing CA (a root is replaced, not revoked).
        """
        issuer = self._authorities.find(str(request.issuer_id))
        if issuer is None or issuer.kind != "issuing":
            raise NotFound("no such issuing authority")
        platform = TenantId(PLATFORM_TENANT)
        async with self._database.service_tenant_connection("pulse_ca", platform) as tx:
            now = self._clock()
            before = await store_revocation.issuer_revoked_at(tx, request.issuer_id)
            if before is None:
                await store_revocation.revoke_issuer(
                    tx, request.issuer_id, reason=request.reason, now=now
                )
                await _tell(tx, request, issuer, now)
                # A plan that an issuer had a part in is void: the other one is activated, or goes on issuing.
                for one in await store_rollover.cancel_of(tx, request.issuer_id, now):
                    await outbox.emit(tx, changed(one, now))
        await self._authorities.refresh()
        return events.RevokeIssuerReply(revoked_at=before or now)


async def _tell(
    tx: TenantTx, request: events.RevokeIssuerRequest, issuer: Issuer, now: datetime
) -> None:
    act = audit.Act(
        actor_kind="operator",
        actor_id=request.actor_id,
        action="issuer.revoke",
        object_kind="issuer",
        object_id=str(issuer.issuer_id),
        reason=request.reason,
        request_id=request.request_id,
    )
    await audit.record(tx, act)
    revoked = events.IssuerRevoked(
        tenant_id=tx.tenant,
        at=now,
        issuer_id=issuer.issuer_id,
        fingerprint_sha256=issuer.certificate.fingerprint(SHA256()).hex(),
        reason=request.reason,
        revoked_at=now,
    )
    await outbox.emit(tx, revoked)
