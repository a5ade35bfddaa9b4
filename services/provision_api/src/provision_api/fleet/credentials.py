"""Use cases: what a fleet shows to get in (claim certificates, hardware ids), and who decides about those that wait."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes

from provision_api import domain
from provision_api.enrolment import SIGN_SECONDS, require_active
from provision_api.fleet import enrolment_store, rules
from provision_api.fleet.profiles import require_writable
from pulse_common import audit
from pulse_common import events_fleet as calls
from pulse_common.errors import Conflict, Malformed, NotFound
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from provision_api.administrators import Administrators
    from provision_api.enrolment import Caller
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database, TenantTx

MOST_CLAIMS = 20
_NONE = "no such enrolment profile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    db: Database
    bus: Bus
    clock: Clock
    administrators: Administrators

    async def issue_claim(
        self, request: calls.IssueClaimCertificateRequest
    ) -> calls.ClaimCertificateReply:
        """Have a claim certificate made for a key that the fleet's maker keeps; it is shown this once.

        Raises:
            NotFound: the tenant has no such enrolment profile.
            Conflict: it is not for claims, has as many as it may have, or the key is a device's.
            Malformed, Unavailable: what cert_worker said of the CSR, or that it is away.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        which = request.enrolment_profile_id
        async with self.db.tenant_connection(tenant) as tx:
            await require_writable(tx)
            await self._require_room_for_claim(tx, which)
            asked = calls.SignClaimRequest(
                tenant_id=tenant,
                enrolment_profile_id=which,
                csr_pem=request.csr_pem,
                days=request.days,
                actor_id=caller.id,
                request_id=caller.request_id,
            )
            signed = await self.bus.call(asked, calls.SignClaimReply, seconds=SIGN_SECONDS)
            certificate = x509.load_pem_x509_certificate(signed.certificate_pem.encode())
            made = new_id()
            values: dict[str, object] = {
                "claim_certificate_id": made,
                "enrolment_profile_id": which,
                "serial_number": signed.serial_number,
                "fingerprint": certificate.fingerprint(hashes.SHA256()),
                "not_before": signed.not_before,
                "not_after": signed.not_after,
                "created_by": caller.id,
            }
            await enrolment_store.keep_claim(tx, values)
            details = {"claim_certificate_id": str(made), "serial_number": signed.serial_number}
            await audit.record(tx, _act(caller, "claim_certificate.issue", which, details))
        return calls.ClaimCertificateReply(
            claim_certificate_id=made,
            certificate_pem=signed.certificate_pem,
            chain_pem=signed.chain_pem,
            serial_number=signed.serial_number,
            not_after=signed.not_after,
        )

    async def _require_room_for_claim(self, tx: TenantTx, which: UUID) -> None:
        # Locked while the CA signs: nobody deletes the profile, or passes the bound, meanwhile.
        found = await enrolment_store.lock_wishes(tx, which)
        if found is None:
            raise NotFound(_NONE)
        if found["method"] != "claim":
            raise Conflict("the enrolment profile is for registered hardware, not for claims")
        if await enrolment_store.count_claims(tx, which, self.clock()) >= MOST_CLAIMS:
            raise Conflict(f"{MOST_CLAIMS} claim certificates of the profile count already")

    async def revoke_claim(
        self, request: calls.RevokeClaimCertificateRequest
    ) -> calls.ChangedReply:
        """Let a claim certificate count no more, from this moment; devices that it let in stay.

        Raises:
            NotFound: the tenant has no such certificate.
        """
        tenant, caller = await self.administrators.of(request)
        async with self.db.tenant_connection(tenant) as tx:
            which = await enrolment_store.revoke_claim(
                tx, request.claim_certificate_id, self.clock()
            )
            if which is None:
                raise NotFound("no such claim certificate")
            details = {"claim_certificate_id": str(request.claim_certificate_id)}
            await audit.record(tx, _act(caller, "claim_certificate.revoke", which, details))
        return calls.ChangedReply(changed=1)

    async def register(self, request: calls.RegisterHardwareRequest) -> calls.RegisterHardwareReply:
        """Write down which hardware may come; secrets are shown this once, for those that were not known before.

        Raises:
            Malformed: an id, name or fingerprint can't be read, or comes twice.
            NotFound: the tenant has no such enrolment profile.
            Forbidden, LimitReached: the tenant is suspended, or read-only.
        """
        tenant, caller = await self.administrators.of(request)
        which = request.enrolment_profile_id
        rows, shown = _rows(tenant, request)
        async with self.db.tenant_connection(tenant) as tx:
            await require_writable(tx)
            found = await enrolment_store.lock_wishes(tx, which)
            if found is None:
                raise NotFound(_NONE)
            if found["method"] == "claim" and request.secrets:
                raise Conflict("with a claim certificate no secret is needed")
            if found["method"] == "hardware" and not all(
                r["secret"] or r["maker_key"] for r in rows
            ):
                raise Malformed("each hardware_id needs a proof: maker_key_sha256, or secrets")
            made = await enrolment_store.register(tx, which, rows)
            details = {"registered": len(made)}
            await audit.record(tx, _act(caller, "hardware.register", which, details))
        return calls.RegisterHardwareReply(
            registered=len(made),
            secrets=[
                calls.HardwareSecret(hardware_id=hardware_id, secret=secret)
                for hardware_id, secret in shown.items()
                if hardware_id in made
            ],
        )

    async def decide(self, request: calls.DecideHardwareRequest) -> calls.ChangedReply:
        """Let those in that wait, keep them out, or forget them.

        Raises:
            Forbidden, LimitReached: the tenant is suspended; or, to let in, it is read-only.
        """
        tenant, caller = await self.administrators.of(request)
        which = request.enrolment_profile_id
        async with self.db.tenant_connection(tenant) as tx:
            await (require_writable if request.decision == "approve" else require_active)(tx)
            action: audit.Action
            if request.decision == "forget":
                action = "hardware.forget"
                changed = await enrolment_store.forget(tx, which, request.hardware_ids)
            else:
                is_in = request.decision == "approve"
                action = "hardware.approve" if is_in else "hardware.reject"
                changed = await enrolment_store.decide(
                    tx,
                    which,
                    request.hardware_ids,
                    "approved" if is_in else "rejected",
                    self.clock(),
                    caller.id,
                )
            acts = [_act(caller, action, which, {"hardware_id": one}) for one in changed]
            await audit.record_all(tx, acts)
        return calls.ChangedReply(changed=len(changed))


def _rows(
    tenant: TenantId, request: calls.RegisterHardwareRequest
) -> tuple[list[dict[str, object]], dict[str, str]]:
    rows: list[dict[str, object]] = []
    shown: dict[str, str] = {}
    for item in request.items:
        hardware_id = rules.checked_hardware_id(item.hardware_id)
        maker_key = None if item.maker_key_sha256 is None else _digest(item.maker_key_sha256)
        secret = None
        if request.secrets and maker_key is None:
            random = secrets.token_bytes(domain.SECRET_BYTES)
            secret = domain.make_token(tenant, random, rules.SECRET_PREFIX)
            shown[hardware_id] = secret.text
        rows.append(
            {
                "hardware_id": hardware_id,
                "name": None if item.name is None else domain.checked_name(item.name),
                "secret": None if secret is None else secret.digest,
                "maker_key": maker_key,
            }
        )
    if len({row["hardware_id"] for row in rows}) < len(rows):
        raise Malformed("a hardware_id comes twice")
    return rows, shown


def _digest(text: str) -> bytes:
    try:
        found = bytes.fromhex(text)
    except ValueError:
        found = b""
    if len(found) != hashlib.sha256().digest_size:
        raise Malformed("maker_key_sha256 must be 64 hexadecimal digits")
    return found


def _act(
    caller: Caller, action: audit.Action, which: UUID, details: Mapping[str, object]
) -> audit.Act:
    return audit.Act(
        actor_kind=caller.kind,
        actor_id=caller.id,
        action=action,
        object_kind="enrolment_profile",
        object_id=str(which),
        request_id=caller.request_id,
        details=details,
    )
