"""Issue claim certificates: they let a fleet ask for device certificates, and are no device's themselves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker import store
from cert_worker.claim_profile import ClaimName, claim_certificate
from cert_worker.csr import read_csr
from cert_worker.domain import DEVICE_PROFILE, key_digest
from pulse_common import audit, events_fleet
from pulse_common.errors import Conflict, Malformed
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from cert_worker.issuing import Issuing
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

LONGEST_DAYS = 3650


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimSigning:
    database: Database
    issuing: Issuing
    clock: Clock

    async def sign(self, request: events_fleet.SignClaimRequest) -> events_fleet.SignClaimReply:
        """Sign one, under the CA of the device profile.  That it is issued is in the audit log; provision_api keeps it.

        Raises:
            CsrRefused, Malformed: the request can't be read, its key is not good enough, or it asks for too long.
            Conflict: the key is a device's.
            Unavailable: no issuing authority is active.
        """
        if not 1 <= request.days <= LONGEST_DAYS:
            raise Malformed(f"days must be from 1 to {LONGEST_DAYS}")
        key = read_csr(request.csr_pem)
        await self.issuing.refuse_unfit_key(key, DEVICE_PROFILE)
        authority = self.issuing.authority_of(DEVICE_PROFILE)
        name = ClaimName(request.tenant_id, request.enrolment_profile_id)
        builder = claim_certificate(
            name,
            key,
            issuer=authority.issuing.certificate,
            days=request.days,
            now=self.clock(),
        )
        tenant_id = TenantId(request.tenant_id)
        async with self.database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            used = await store.uses_of_keys(tx, {key_digest(key)})
            if any(used.values()):
                raise Conflict("a device has this key")
            certificate = await asyncio.to_thread(authority.signer.sign_certificate, builder)
            serial_number = f"{certificate.serial_number:x}"
            await audit.record(tx, _act(request, serial_number))
        return events_fleet.SignClaimReply(
            certificate_pem=certificate.public_bytes(Encoding.PEM).decode(),
            chain_pem=authority.chain_pem.decode(),
            serial_number=serial_number,
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )


def _act(request: events_fleet.SignClaimRequest, serial_number: str) -> audit.Act:
    return audit.Act(
        actor_kind="user",
        actor_id=request.actor_id,
        action="certificate.issue",
        object_kind="enrolment_profile",
        object_id=str(request.enrolment_profile_id),
        request_id=request.request_id,
        details={"kind": "claim", "serial_number": serial_number, "days": request.days},
    )
