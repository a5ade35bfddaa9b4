"""Issue certificates for devices, as provision_api asks over NATS: requests that come at once share a transaction."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import measures, store
from cert_worker.batches import Batches
from cert_worker.csr import read_csr
from cert_worker.domain import IssuerReplaced, KeyUse, key_digest, refusal_of_device, refusal_of_key
from cert_worker.issuing import Wanted
from pulse_common import audit, events, outbox
from pulse_common.errors import AppError, Conflict, Malformed, NotFound
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cert_worker.authority import Authority
    from cert_worker.domain import Issued
    from cert_worker.issuing import Issuing
    from pulse_common.clock import Clock
    from pulse_common.events import SignRequest
    from pulse_common.tenancy import Database, TenantTx


class Signing:
    def __init__(self, *, database: Database, issuing: Issuing, clock: Clock) -> None:
        self._database = database
        self._issuing = issuing
        self._clock = clock
        self._batches: Batches[Wanted, Issued] = Batches(self._issue)

    async def sign(self, request: SignRequest) -> events.SignReply:
        """Issue a certificate; a refusal is recorded too.

        Raises:
            CsrRefused: the request can't be read, or its key is not good enough.
            NotFound: this tenant has no such device.
            Conflict: the device or its tenant is not active, or the key is another's or compromised.
            Unavailable: no issuing authority is active for the profile, or the linter objects to what it would say.
        """
        try:
            return await self._sign(request)
        except (Malformed, NotFound, Conflict) as refusal:
            await self._record_refusal(request, refusal)
            raise

    async def _sign(self, request: SignRequest) -> events.SignReply:
        tenant_id = TenantId(request.tenant_id)
        wanted = await self._read(request)
        try:
            issued = await self._batches.ask(tenant_id, wanted)
        except IssuerReplaced:  # by another replica, since this one looked
            await self._issuing.follow()
            wanted = await self._read(request)
            issued = await self._batches.ask(tenant_id, wanted)
        measures.ISSUED.inc()
        return reply_of(issued, wanted.authority)

    async def _read(self, request: SignRequest) -> Wanted:
        key = read_csr(request.csr_pem)
        await self._issuing.refuse_unfit_key(key, request.profile)
        authority = self._issuing.authority_of(request.profile)
        return Wanted(request=request, key=key, digest=key_digest(key), authority=authority)

    async def _issue(
        self, tenant_id: TenantId, batch: Sequence[Wanted]
    ) -> Sequence[Issued | AppError]:
        """Issue what may be issued, in one transaction; answer each in its place."""
        async with self._database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            refusals = await self._refusals(tx, batch)
            # In a thread: a signer may wait for hardware.
            results = await asyncio.to_thread(self._sign_all, batch, refusals)
            issued = [
                (wanted.request, result)
                for wanted, result in zip(batch, results, strict=True)
                if not isinstance(result, AppError)
            ]
            if issued:
                await self._keep(tx, issued)
        return results

    def _sign_all(
        self, batch: Sequence[Wanted], refusals: Sequence[AppError | None]
    ) -> list[Issued | AppError]:
        return [
            refusal or self._issuing.certify(wanted)
            for wanted, refusal in zip(batch, refusals, strict=True)
        ]

    async def _refusals(self, tx: TenantTx, batch: Sequence[Wanted]) -> Sequence[AppError | None]:
        device_ids = {wanted.request.device_id for wanted in batch}
        issuer_ids = {wanted.authority.issuing.issuer_id for wanted in batch}
        devices = {
            issuer_id: await store.hold_devices(tx, device_ids, issuer_id)
            for issuer_id in issuer_ids
        }
        uses = await store.uses_of_keys(tx, {wanted.digest for wanted in batch})
        refusals: list[AppError | None] = []
        for wanted in batch:
            device_id = wanted.request.device_id
            device = devices[wanted.authority.issuing.issuer_id].get(device_id)
            refusal = refusal_of_device(device) or refusal_of_key(
                uses[wanted.digest], tenant_id=tx.tenant, device_id=device_id
            )
            if refusal is None:  # the next one of this batch must see it
                uses[wanted.digest].append(KeyUse(tx.tenant, device_id, None))
            refusals.append(refusal)
        return refusals

    async def _keep(self, tx: TenantTx, issued: Sequence[tuple[SignRequest, Issued]]) -> None:
        now = self._clock()
        await store.insert_certificates(tx, [one for _, one in issued])
        await audit.record_all(tx, [_act(request, one) for request, one in issued])
        await outbox.emit_all(
            tx,
            [
                events.DeviceEnrolled(
                    tenant_id=tx.tenant,
                    at=now,
                    device_id=one.device_id,
                    certificate_id=one.certificate_id,
                    serial_number=one.serial_number,
                )
                for _, one in issued
            ],
        )

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


def _act(request: SignRequest, issued: Issued) -> audit.Act:
    return audit.Act(
        actor_kind="device",
        actor_id=request.actor_id,
        action="certificate.issue",
        object_kind="certificate",
        object_id=str(issued.certificate_id),
        request_id=request.request_id,
        details={
            "device_id": str(issued.device_id),
            "issuer_id": str(issued.issuer_id),
            "profile": issued.profile,
            "serial_number": issued.serial_number,
            "not_after": issued.certificate.not_valid_after_utc.isoformat(),
        },
    )


def reply_of(issued: Issued, authority: Authority) -> events.SignReply:
    certificate = issued.certificate
    return events.SignReply(
        certificate_id=issued.certificate_id,
        certificate_pem=certificate.public_bytes(Encoding.PEM).decode(),
        chain_pem=authority.chain_pem.decode(),
        serial_number=issued.serial_number,
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
