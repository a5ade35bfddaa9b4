"""Use case: give a device that shows its certificate the next one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api import store
from provision_api.enrolment import SIGN_SECONDS, Enrolled, require_active
from provision_api.presented import not_ours
from pulse_common import events
from pulse_common.errors import NotFound

if TYPE_CHECKING:
    from provision_api.presented import Presented
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Reenrolment:
    db: Database
    bus: Bus
    clock: Clock

    async def renew(
        self, shown: Presented, csr_pem: str, *, label: str | None, request_id: str | None
    ) -> Enrolled:
        """Trade the certificate that TLS has seen, and a CSR, for the next certificate.

        The older one goes on counting until the new one is first used at the broker.

        Raises:
            Unauthenticated: the certificate is none of ours, or does not count.
            Forbidden: the tenant is suspended.
            NotFound: it was issued under another profile than ``label``.
            Malformed, Conflict, TooMany, Unavailable: what cert_worker said.
        """
        async with self.db.tenant_connection(shown.tenant) as tx:
            # Before the CA is asked, which records what it refuses: a stranger must not write into a tenant's log.
            profile = await store.find_good_certificate(
                tx, shown.device_id, bytes.fromhex(shown.fingerprint), self.clock()
            )
            if profile is None:
                raise not_ours()
            await require_active(tx)
        if label not in {None, profile}:
            raise NotFound("the certificate was issued under another profile")
        request = events.RenewRequest(
            tenant_id=shown.tenant,
            device_id=shown.device_id,
            csr_pem=csr_pem,
            fingerprint=shown.fingerprint,
            request_id=request_id,
        )
        signed = await self.bus.call(request, events.SignReply, seconds=SIGN_SECONDS)
        return Enrolled(shown.tenant, shown.device_id, signed)
