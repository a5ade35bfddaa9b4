"""Use cases of a device that shows its certificate: the next one, and which authorities to trust."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api import store
from provision_api.enrolment import SIGN_SECONDS, Enrolled, require_active
from provision_api.presented import not_ours
from pulse_common import events, events_rollover, outbox
from pulse_common.errors import Forbidden, NotFound, Unauthenticated

if TYPE_CHECKING:
    from provision_api.presented import Presented
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Reenrolment:
    db: Database
    bus: Bus
    clock: Clock

    async def renew(
        self, shown: Presented, csr_pem: str, *, label: str | None, request_id: str | None
    ) -> Enrolled:
        """Trade the certificate that TLS has seen, and a CSR, for the next certificate.

        The older one goes on counting until the new one is first used, here or at the broker.

        Raises:
            Unauthenticated: the certificate is none of ours, or does not count.
            Forbidden: the tenant is suspended.
            NotFound: it was issued under another profile than ``label``.
            Malformed, Conflict, TooMany, Unavailable: what cert_worker said.
        """
        async with self.db.tenant_connection(shown.tenant) as tx:
            # Before the CA is asked, which records what it refuses: a stranger must not write into a tenant's log.
            profile = await self._require_good(tx, shown)
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

    async def trust(self, shown: Presented, held: tuple[str, ...]) -> events_rollover.TrustReply:
        """Note which authorities a device has, and say which it is to have and whether to renew early.

        Raises:
            Unauthenticated, Forbidden: as for ``renew``.
        """
        async with self.db.tenant_connection(shown.tenant) as tx:
            await self._require_good(tx, shown)
        request = events_rollover.TrustRequest(
            tenant_id=shown.tenant,
            device_id=shown.device_id,
            held=held,
            fingerprint=shown.fingerprint,
        )
        return await self.bus.call(request, events_rollover.TrustReply)

    async def note_use(self, shown: Presented) -> None:
        """Note that a device has its certificate, when it shows one where none is asked for; others are ignored."""
        with contextlib.suppress(Unauthenticated, Forbidden):
            async with self.db.tenant_connection(shown.tenant) as tx:
                await self._require_good(tx, shown)

    async def _require_good(self, tx: TenantTx, shown: Presented) -> str:
        """Return the profile of a certificate that counts; its first use retires those before it, as at the broker."""
        now = self.clock()
        good = await store.find_good_certificate(
            tx, shown.device_id, bytes.fromhex(shown.fingerprint), now
        )
        if good is None:
            raise not_ours()
        await require_active(tx)
        if good.is_new:
            used = events.CertificateUsed(
                tenant_id=shown.tenant,
                at=now,
                device_id=shown.device_id,
                fingerprint_sha256=shown.fingerprint,
            )
            await outbox.emit(tx, used)
        return good.profile
