"""Issue a certificate for a device, as provision_api asks over NATS."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import measures, profile, store
from cert_worker.csr import read_csr
from cert_worker.domain import Issued, key_digest, refusal_of_device, refusal_of_key
from pulse_common import audit, events, outbox
from pulse_common.errors import Conflict, Malformed, NotFound
from pulse_common.identity import TenantId
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from cert_worker.authority import Authority
    from cert_worker.csr import DeviceKey
    from cert_worker.profile import DeviceProfile
    from pulse_common.clock import Clock
    from pulse_common.errors import AppError
    from pulse_common.events import SignRequest
    from pulse_common.tenancy import Database, TenantTx


class Signing:
    def __init__(
        self, *, database: Database, authority: Authority, profile: DeviceProfile, clock: Clock
    ) -> None:
        self._database = database
        self._authority = authority
        self._profile = profile
        self._clock = clock

    async def sign(self, request: SignRequest) -> events.SignReply:
        """Issue a certificate; a refusal is recorded too.

        Raises:
            CsrRefused: the request can't be read, or its key is not good enough.
            NotFound: this tenant has no such device.
            Conflict: the device or its tenant is not active, or the key is another's or compromised.
        """
        try:
            issued = await self._issue(request)
        except (Malformed, NotFound, Conflict) as refusal:
            await self._record_refusal(request, refusal)
            raise
        measures.ISSUED.inc()
        return self._reply(issued)

    async def _issue(self, request: SignRequest) -> Issued:
        key = read_csr(request.csr_pem)
        digest = key_digest(key)
        tenant_id = TenantId(request.tenant_id)
        async with self._database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            refusal = refusal_of_device(await store.hold_device(tx, request.device_id))
            if refusal:
                raise refusal
            uses = await store.uses_of_key(tx, digest)
            refusal = refusal_of_key(uses, tenant_id=tenant_id, device_id=request.device_id)
            if refusal:
                raise refusal
            issued = self._certify(request, key, digest)
            await store.insert_certificate(tx, issued)
            await self._tell(tx, request, issued)
        return issued

    def _certify(self, request: SignRequest, key: DeviceKey, digest: bytes) -> Issued:
        issuing = self._authority.issuing
        builder = profile.device_certificate(
            profile.DeviceName(request.tenant_id, request.device_id),
            key,
            issuer_id=issuing.issuer_id,
            issuer=issuing.certificate,
            profile=self._profile,
            now=self._clock(),
        )
        return Issued(
            certificate_id=new_id(),
            device_id=request.device_id,
            issuer_id=issuing.issuer_id,
            public_key_sha256=digest,
            # On the event loop: building and signing takes 0.2 ms, less than handing it to a thread and back would
            # gain.  A signer that waits for hardware has to change that.
            certificate=self._authority.signer.sign_certificate(builder),
        )

    async def _tell(self, tx: TenantTx, request: SignRequest, issued: Issued) -> None:
        act = audit.Act(
            actor_kind="device",
            actor_id=request.actor_id,
            action="certificate.issue",
            object_kind="certificate",
            object_id=str(issued.certificate_id),
            request_id=request.request_id,
            details={
                "device_id": str(issued.device_id),
                "issuer_id": str(issued.issuer_id),
                "serial_number": issued.serial_number,
                "not_after": issued.certificate.not_valid_after_utc.isoformat(),
            },
        )
        await audit.record(tx, act)
        enrolled = events.DeviceEnrolled(
            tenant_id=tx.tenant,
            at=self._clock(),
            device_id=issued.device_id,
            certificate_id=issued.certificate_id,
            serial_number=issued.serial_number,
        )
        await outbox.emit(tx, enrolled)

    async def _record_refusal(self, request: SignRequest, refusal: AppError) -> None:
        measures.REFUSED.labels(refusal.code).inc()
        act = audit.Act(
            actor_kind="device",
            actor_id=request.actor_id,
            action="certificate.issue",
            object_kind="device",
            object_id=str(request.device_id),
            outcome="denied",
            reason=refusal.message,
            request_id=request.request_id,
        )
        tenant_id = TenantId(request.tenant_id)
        async with self._database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            await audit.record(tx, act)

    def _reply(self, issued: Issued) -> events.SignReply:
        certificate = issued.certificate
        return events.SignReply(
            certificate_id=issued.certificate_id,
            certificate_pem=certificate.public_bytes(Encoding.PEM).decode(),
            chain_pem=self._authority.chain_pem.decode(),
            serial_number=issued.serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )
