"""Revoke every certificate of a device, as ui_iot asks over NATS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cert_worker import measures, store
from pulse_common import audit, events, outbox
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cert_worker.domain import Revoked
    from cert_worker.publisher import CrlPublisher
    from pulse_common.clock import Clock
    from pulse_common.events import RevokeRequest
    from pulse_common.tenancy import Database, TenantTx


class Revoking:
    def __init__(self, *, database: Database, publisher: CrlPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    async def revoke(self, request: RevokeRequest) -> events.RevokeReply:
        """Revoke what is valid now.  Asked again, it revokes nothing more and says when it was done.

        Raises:
            NotFound: this tenant has no such device.
        """
        tenant_id = TenantId(request.tenant_id)
        async with self._database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            if not await store.lock_device(tx, request.device_id):
                raise NotFound("no such device")
            # Only now: the time of a revocation must not lie before that of a certificate it waited for.
            now = self._clock()
            before = await store.last_revocation(tx, request.device_id)
            revoked = await store.revoke_certificates(
                tx, request.device_id, reason=request.reason, now=now
            )
            await self._tell(tx, request, revoked, now)
        if not revoked:
            return events.RevokeReply(revoked=0, revoked_at=before or now)
        measures.REVOKED.inc(len(revoked))
        self._publisher.request()
        return events.RevokeReply(revoked=len(revoked), revoked_at=now)

    async def _tell(
        self, tx: TenantTx, request: RevokeRequest, revoked: Sequence[Revoked], now: datetime
    ) -> None:
        act = audit.Act(
            actor_kind="user",
            actor_id=request.actor_id,
            action="certificate.revoke",
            object_kind="device",
            object_id=str(request.device_id),
            reason=request.reason,
            request_id=request.request_id,
            details={"serial_numbers": [certificate.serial_number for certificate in revoked]},
        )
        await audit.record(tx, act)
        for certificate in revoked:
            await outbox.emit(
                tx,
                events.CertificateRevoked(
                    tenant_id=tx.tenant,
                    at=now,
                    device_id=request.device_id,
                    certificate_id=certificate.certificate_id,
                    serial_number=certificate.serial_number,
                    fingerprint_sha256=certificate.fingerprint_sha256,
                    reason=request.reason,
                    revoked_at=now,
                ),
            )
