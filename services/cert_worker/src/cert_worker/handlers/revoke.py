"""Revoke, hold and release certificates, as ui_iot asks over NATS."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from cert_worker import measures, store, store_revocation
from cert_worker.domain import CERTIFICATE_HOLD, Selection
from pulse_common import audit, events, outbox
from pulse_common.errors import NotFound
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from cert_worker.domain import Changed
    from cert_worker.publisher import CrlPublisher
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

MOST_SERIALS_TOLD = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What is to happen to the certificates that are meant, and at whose word.  No reason: they are released."""

    selection: Selection
    reason: str | None
    actor_kind: Literal["user", "operator", "service"]
    actor_id: str
    request_id: str | None

    @property
    def action(self) -> audit.Action:
        if self.reason is None:
            return "certificate.release"
        return "certificate.hold" if self.reason == CERTIFICATE_HOLD else "certificate.revoke"


class Revoking:
    def __init__(self, *, database: Database, publisher: CrlPublisher, clock: Clock) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = clock

    async def revoke(self, request: events.RevokeRequest) -> events.RevokeReply:
        """Revoke every certificate of a device.  Asked again, it revokes nothing more and says when it was done.

        Raises:
            NotFound: this tenant has no such device.
        """
        change = Change(
            selection=Selection("device", str(request.device_id)),
            reason=request.reason,
            actor_kind="user",
            actor_id=request.actor_id,
            request_id=request.request_id,
        )
        return await self.revoke_device(TenantId(request.tenant_id), request.device_id, change)

    async def revoke_device(
        self, tenant_id: TenantId, device_id: UUID, change: Change
    ) -> events.RevokeReply:
        """As ``revoke``, at whoever's word ``change`` says.

        Raises:
            NotFound: this tenant has no such device.
        """
        async with self._database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            if not await store.lock_device(tx, device_id):
                raise NotFound("no such device")
            before = await store.last_revocation(tx, device_id)
            changed, now = await self._change_locked(tx, change)
        self._publisher.request()
        if not changed:
            return events.RevokeReply(revoked=0, revoked_at=before or now)
        return events.RevokeReply(revoked=len(changed), revoked_at=now)

    async def revoke_certificates(
        self, request: events.RevokeCertificatesRequest
    ) -> events.ChangeCertificatesReply:
        """Revoke or hold all that is named and has not expired.

        Raises:
            Malformed: that is no such name.
            NotFound: nothing was ever issued under it (in this tenant).
        """
        change = Change(
            selection=Selection(request.by, request.selected),
            reason=request.reason,
            actor_kind=request.actor_kind,
            actor_id=request.actor_id,
            request_id=request.request_id,
        )
        return await self._change_everywhere(request.tenant_id, change)

    async def release_certificates(
        self, request: events.ReleaseCertificatesRequest
    ) -> events.ChangeCertificatesReply:
        """Let what is named and on hold count again.

        Raises:
            Malformed: that is no such name.
            NotFound: nothing was ever issued under it (in this tenant).
        """
        change = Change(
            selection=Selection(request.by, request.selected),
            reason=None,
            actor_kind=request.actor_kind,
            actor_id=request.actor_id,
            request_id=request.request_id,
        )
        return await self._change_everywhere(request.tenant_id, change)

    async def _change_everywhere(
        self, only: UUID | None, change: Change
    ) -> events.ChangeCertificatesReply:
        async with self._database.service_connection("pulse_ca") as tx:
            tenants = await store_revocation.tenants_with(tx, change.selection)
        if only is not None:
            tenants = [tenant for tenant in tenants if tenant == only]
        if not tenants:
            raise NotFound(f"no certificate of such a {change.selection.by}")
        total = 0
        for tenant in tenants:
            while changed := await self._change_some(tenant, change):
                total += changed
                self._publisher.request()
        return events.ChangeCertificatesReply(
            certificates=total, tenants=len(tenants), at=self._clock()
        )

    async def _change_some(self, tenant: TenantId, change: Change) -> int:
        async with self._database.service_tenant_connection("pulse_ca", tenant) as tx:
            await store_revocation.lock_devices(tx, change.selection)
            changed, _ = await self._change_locked(tx, change)
        return len(changed)

    async def _change_locked(
        self, tx: TenantTx, change: Change
    ) -> tuple[Sequence[Changed], datetime]:
        # Only now, under the devices' locks: a revocation must not be older than a certificate that it waited for.
        now = self._clock()
        if change.reason is None:
            changed = await store_revocation.release(tx, change.selection, now=now)
        elif change.reason == CERTIFICATE_HOLD:
            changed = await store_revocation.hold(tx, change.selection, now=now)
        else:
            changed = await store_revocation.revoke(
                tx, change.selection, reason=change.reason, now=now
            )
        if changed or change.selection.by == "device":
            await audit.record(tx, _act(change, changed))
        await outbox.emit_all(tx, [_event(tx.tenant, change.reason, one, now) for one in changed])
        if change.reason is not None:
            measures.REVOKED.inc(len(changed))
        return changed, now


def _act(change: Change, changed: Sequence[Changed]) -> audit.Act:
    return audit.Act(
        actor_kind=change.actor_kind,
        actor_id=change.actor_id,
        action=change.action,
        object_kind=change.selection.by,
        object_id=change.selection.value,
        reason=change.reason,
        request_id=change.request_id,
        details={
            "certificates": len(changed),
            "serial_numbers": [one.serial_number for one in changed[:MOST_SERIALS_TOLD]],
        },
    )


def _event(
    tenant: TenantId, reason: str | None, certificate: Changed, now: datetime
) -> events.Event:
    if reason is None:
        return events.CertificateReleased(
            tenant_id=tenant,
            at=now,
            device_id=certificate.device_id,
            certificate_id=certificate.certificate_id,
            serial_number=certificate.serial_number,
            fingerprint_sha256=certificate.fingerprint_sha256,
        )
    return events.CertificateRevoked(
        tenant_id=tenant,
        at=now,
        device_id=certificate.device_id,
        certificate_id=certificate.certificate_id,
        serial_number=certificate.serial_number,
        fingerprint_sha256=certificate.fingerprint_sha256,
        reason=reason,
        revoked_at=now,
    )
