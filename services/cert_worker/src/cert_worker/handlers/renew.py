"""Renew: the next certificate of a device that has one which counts; asked again for one key, the same one again."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING

from cert_worker import measures, store, store_renewal
from cert_worker.csr import read_csr
from cert_worker.domain import IssuerReplaced, key_digest, refusal_of_device, refusal_of_key
from cert_worker.handlers.sign import reply_of
from cert_worker.issuing import Wanted
from pulse_common import audit, events
from pulse_common.errors import AppError, Conflict, Malformed, NotFound, TooMany
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cert_worker.authority import Authority
    from cert_worker.csr import DeviceKey
    from cert_worker.domain import Issued
    from cert_worker.issuing import Issuing
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx

MOST_A_DAY = 10
"""A device that makes a new key for each attempt must not fill the database and the lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Renewing:
    database: Database
    issuing: Issuing
    clock: Clock

    async def renew(self, request: events.RenewRequest) -> events.SignReply:
        """Issue the next certificate, beside the present one; a refusal is recorded too.

        Raises:
            CsrRefused: the request can't be read, or its key is not good enough.
            NotFound: this tenant has no such device.
            Conflict: the present certificate or the device does not count, or the key is another's or compromised.
            TooMany: so often a day no device needs another one.
            Unavailable: no issuing authority is active for the profile, or the linter objects.
        """
        try:
            key = read_csr(request.csr_pem)
            issued, authority = await self._renew(request, key)
        except (Malformed, NotFound, Conflict, TooMany) as refusal:
            await self._record_refusal(request, refusal)
            raise
        return reply_of(issued, authority)

    async def _renew(
        self, request: events.RenewRequest, key: DeviceKey
    ) -> tuple[Issued, Authority]:
        try:
            return await self._renew_once(request, key)
        except IssuerReplaced:  # by another replica, since this one looked
            await self.issuing.follow()
            return await self._renew_once(request, key)

    async def _renew_once(
        self, request: events.RenewRequest, key: DeviceKey
    ) -> tuple[Issued, Authority]:
        digest, now = key_digest(key), self.clock()
        tenant_id = TenantId(request.tenant_id)
        async with self.database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            # Two attempts of one device wait for each other: the second finds what the first one made.
            if not await store.lock_device(tx, request.device_id):
                raise NotFound("no such device")
            present = await _find_present(tx, request, digest, now)
            authority = self.issuing.authority_of(present.profile)
            issuer_id = authority.issuing.issuer_id
            await self._refuse(tx, request, issuer_id=issuer_id, digest=digest)
            again = await store_renewal.find_unused(tx, request.device_id, issuer_id, digest, now)
            if again is not None:
                await store_renewal.note_asked_again(tx, again.certificate_id, now)
                return again, authority
            since = now - timedelta(days=1)
            if await store_renewal.count_renewals(tx, request.device_id, since) >= MOST_A_DAY:
                raise TooMany("the device was given too many certificates today")
            await self.issuing.refuse_unfit_key(key, present.profile)
            wanted = Wanted(
                request=_sign_request(request, present.profile),
                key=key,
                digest=digest,
                authority=authority,
            )
            issued = await asyncio.to_thread(self.issuing.certify, wanted)
            if isinstance(issued, AppError):
                raise issued
            issued = replace(issued, renewal=True)
            await store.insert_certificates(tx, [issued])
            await audit.record(tx, _act(request, issued, present))
        measures.ISSUED.inc()
        return issued, authority

    async def _refuse(
        self, tx: TenantTx, request: events.RenewRequest, *, issuer_id: UUID, digest: bytes
    ) -> None:
        devices = await store.hold_devices(tx, {request.device_id}, issuer_id)
        uses = await store.uses_of_keys(tx, {digest})
        refusal = refusal_of_device(devices.get(request.device_id)) or refusal_of_key(
            uses[digest], tenant_id=tx.tenant, device_id=request.device_id
        )
        if refusal is not None:
            raise refusal

    async def _record_refusal(self, request: events.RenewRequest, refusal: AppError) -> None:
        measures.REFUSED.labels(refusal.code).inc()
        act = audit.Act(
            actor_kind="device",
            actor_id=str(request.device_id),
            action="certificate.renew",
            object_kind="device",
            object_id=str(request.device_id),
            outcome="denied",
            reason=refusal.message,
            request_id=request.request_id,
        )
        tenant_id = TenantId(request.tenant_id)
        async with self.database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            await audit.record(tx, act)


async def _find_present(
    tx: TenantTx, request: events.RenewRequest, digest: bytes, now: datetime
) -> store_renewal.Present:
    """Find the certificate that the device renews by.

    Raises:
        Conflict: there is none that may be.
    """
    fingerprint = None if request.fingerprint is None else _bytes_of(request.fingerprint)
    if not request.rescue:
        present = await store_renewal.find_present(tx, request.device_id, fingerprint, now)
    elif fingerprint is None:
        raise Malformed("a rescue names the certificate that has expired")
    else:
        present = await store_renewal.find_expired(tx, request.device_id, fingerprint, digest, now)
    if present is None:
        raise Conflict("the present certificate does not count: enrol again")
    return present


def _bytes_of(fingerprint: str) -> bytes:
    try:
        return bytes.fromhex(fingerprint)
    except ValueError:
        raise Malformed("that is no fingerprint") from None


def _sign_request(request: events.RenewRequest, profile: str) -> events.SignRequest:
    return events.SignRequest(
        tenant_id=request.tenant_id,
        device_id=request.device_id,
        csr_pem=request.csr_pem,
        actor_id=str(request.device_id),
        request_id=request.request_id,
        profile=profile,
    )


def _act(request: events.RenewRequest, issued: Issued, present: store_renewal.Present) -> audit.Act:
    return audit.Act(
        actor_kind="device",
        actor_id=str(request.device_id),
        action="certificate.renew",
        object_kind="certificate",
        object_id=str(issued.certificate_id),
        request_id=request.request_id,
        details={
            "device_id": str(issued.device_id),
            "issuer_id": str(issued.issuer_id),
            "profile": issued.profile,
            "renews": str(present.certificate_id),
            "over": "rescue"
            if request.rescue
            else "mqtt"
            if request.fingerprint is None
            else "https",
            "serial_number": issued.serial_number,
            "not_after": issued.certificate.not_valid_after_utc.isoformat(),
        },
    )
