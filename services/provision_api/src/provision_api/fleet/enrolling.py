"""Use case: a device of a fleet asks for its certificate, with a claim certificate, a secret or its maker's key.

Two transactions.  The first settles whether it may have one, counts it and makes the device: short, since the enrolment
profile's row stays locked in it, so that two claims cannot both take the last place.  The second has the CA sign while
the hardware id's row is locked.  A crash between them loses nothing: the device asks again with the same key.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, assert_never

import structlog

from provision_api.domain import not_valid, read_token
from provision_api.enrolment import Enrolled, require_active
from provision_api.fleet import claim_store, rules
from pulse_common import audit
from pulse_common.errors import Conflict, Forbidden, TooMany
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from provision_api.enrolment import Caller, Enrolment
    from provision_api.fleet.rules import EnrolmentProfile, Label, Piece
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import TenantTx

log = structlog.get_logger(__name__)

MOST_PENDING = 10_000


@dataclass(frozen=True, slots=True)
class ByClaim:
    """TLS has seen a claim certificate; ``fingerprint`` is the SHA-256 of its DER."""

    tenant: TenantId
    fingerprint: bytes
    hardware_id: str


@dataclass(frozen=True, slots=True)
class BySecret:
    secret: str
    hardware_id: str


@dataclass(frozen=True, slots=True)
class ByMakerKey:
    """The CSR is signed by the very key that was registered for the hardware id."""

    label: Label
    hardware_id: str


Credential = ByClaim | BySecret | ByMakerKey


@dataclass(frozen=True, slots=True)
class Held:
    """Somebody has to approve it first: ask again in so many seconds."""

    seconds: int


@dataclass(frozen=True, slots=True)
class FleetEnrolment:
    enrolment: Enrolment

    async def enrol(
        self, shown: Credential, csr_pem: str, caller: Caller, label: Label | None = None
    ) -> Enrolled | Held:
        """Trade a fleet's credential and a CSR for a certificate of this one device.

        Raises:
            Unauthenticated: the credential is none of ours, or does not count (any more).
            Forbidden: the profile is closed, the enrolment was rejected, or the tenant is suspended.
            LimitReached: the plan has no room for another device.
            Conflict: the hardware id is enrolled or another key asks for it, or the profile's quota is used up.
            TooMany: the profile has taken as many as it may this hour.
            Malformed, Unavailable: what cert_worker said of the CSR, or that it is away.
        """
        key = rules.key_of_request(csr_pem)
        hardware_id = rules.checked_hardware_id(shown.hardware_id)
        tenant = _tenant_of(shown)
        label = shown.label if isinstance(shown, ByMakerKey) else label
        if label is not None and label.tenant != tenant:
            raise not_valid()
        try:
            async with self.enrolment.db.tenant_connection(tenant) as tx:
                profile = await self._find_profile(tx, shown, key)
                if label is not None and await _label_of(tx, label) != profile.enrolment_profile_id:
                    raise not_valid()
                admitted = await self._admit(tx, profile, shown, key, caller)
        except (Conflict, Forbidden) as refusal:
            await self._record(tenant, hardware_id, caller, refusal.message)
            raise
        if isinstance(admitted, Held):
            return admitted
        return await self._issue(tenant, profile, hardware_id, key, csr_pem, caller)

    async def _find_profile(self, tx: TenantTx, shown: Credential, key: bytes) -> EnrolmentProfile:
        match shown:
            case ByClaim():
                found = await claim_store.use_claim(tx, shown.fingerprint, self._now())
            case BySecret():
                digest = read_token(shown.secret, rules.SECRET_PREFIX).digest
                piece = await claim_store.find_by_secret(tx, digest)
                is_its_own = piece is not None and piece.hardware_id == shown.hardware_id
                found = piece.enrolment_profile_id if piece and is_its_own else None
            case ByMakerKey():
                piece = await claim_store.find_piece(tx, shown.hardware_id)
                is_its_own = piece is not None and piece.maker_key_sha256 == key
                found = piece.enrolment_profile_id if piece and is_its_own else None
            case _:
                assert_never(shown)
        profile = None if found is None else await claim_store.lock_profile(tx, found)
        if profile is None:
            raise not_valid()
        rules.require_open(profile, "claim" if isinstance(shown, ByClaim) else "hardware")
        await require_active(tx)
        return profile

    async def _admit(
        self,
        tx: TenantTx,
        profile: EnrolmentProfile,
        shown: Credential,
        key: bytes,
        caller: Caller,
    ) -> Held | None:
        now = self._now()
        piece = await self._meet(tx, profile, shown, key)
        is_proven = not isinstance(shown, ByClaim)
        state = rules.next_state(profile, piece, key, now, is_proven=is_proven)
        if state == "enrolled":
            return None
        if state == "pending":
            waiting = await claim_store.count_pending(tx, profile.enrolment_profile_id)
            if piece.state != "pending" and waiting >= MOST_PENDING:
                raise TooMany("too many devices wait for an approval")
            await claim_store.ask(tx, piece.hardware_id, state, key, now, caller.address)
            return Held(rules.come_back_seconds(piece.asked_at, now))
        if piece.device_id is None:
            count = rules.counted(profile, now)
            device_id = new_id()
            name = piece.name or piece.hardware_id
            await self.enrolment.create_in(tx, device_id, name, caller, profile.device_profile_id)
            await claim_store.bind(tx, piece.hardware_id, device_id)
            await claim_store.keep_count(tx, profile.enrolment_profile_id, count)
        await claim_store.ask(tx, piece.hardware_id, state, key, now, caller.address)
        return None

    async def _meet(
        self, tx: TenantTx, profile: EnrolmentProfile, shown: Credential, key: bytes
    ) -> Piece:
        if isinstance(shown, ByClaim) and not profile.known_only:
            await claim_store.meet(tx, shown.hardware_id, profile.enrolment_profile_id)
        piece = await claim_store.lock_piece(tx, shown.hardware_id)
        if piece is None:
            raise Forbidden("this hardware id is not registered")
        if piece.enrolment_profile_id != profile.enrolment_profile_id:
            raise Conflict("this hardware id belongs to another fleet")
        if piece.maker_key_sha256 not in {None, key}:
            raise Conflict("this hardware id is for its maker's key alone")
        return piece

    async def _issue(
        self,
        tenant: TenantId,
        profile: EnrolmentProfile,
        hardware_id: str,
        key: bytes,
        csr_pem: str,
        caller: Caller,
    ) -> Enrolled:
        async with self.enrolment.db.tenant_connection(tenant) as tx:
            now = self._now()
            piece = await claim_store.lock_piece(tx, hardware_id)
            if piece is None or piece.device_id is None or piece.asked_key_sha256 != key:
                raise Conflict("another key asks under this hardware id")
            if piece.state not in {"approved", "enrolled"}:
                raise Conflict("the enrolment was decided otherwise just now: ask again")
            since = piece.enrolled_at or piece.asked_at or now
            if await claim_store.was_cut_off(tx, piece.device_id, since):
                raise Conflict("the device was cut off")
            signed = await self.enrolment.sign(
                tenant, piece.device_id, csr_pem, caller, profile.certificate_profile
            )
            await claim_store.enrol(tx, hardware_id, now)
            details = {
                "hardware_id": hardware_id,
                "enrolment_profile_id": str(profile.enrolment_profile_id),
            }
            act = audit.Act(
                actor_kind=caller.kind,
                actor_id=caller.id,
                action="device.enrol",
                object_kind="device",
                object_id=str(piece.device_id),
                address=caller.address,
                request_id=caller.request_id,
                details=details,
            )
            await audit.record(tx, act)
        log.info("fleet_device_enrolled", device_id=str(piece.device_id), **details)
        return Enrolled(tenant, piece.device_id, signed)

    async def _record(
        self, tenant: TenantId, hardware_id: str, caller: Caller, reason: str
    ) -> None:
        """Write down a refusal to whoever held a good credential: it may have been cloned."""
        act = audit.Act(
            actor_kind=caller.kind,
            actor_id=caller.id,
            action="device.enrol",
            object_kind="hardware",
            object_id=hardware_id,
            outcome="denied",
            reason=reason,
            address=caller.address,
            request_id=caller.request_id,
        )
        async with self.enrolment.db.tenant_connection(tenant) as tx:
            await audit.record(tx, act)

    def _now(self) -> datetime:
        return self.enrolment.clock()


def _tenant_of(shown: Credential) -> TenantId:
    match shown:
        case ByClaim():
            return shown.tenant
        case BySecret():
            return read_token(shown.secret, rules.SECRET_PREFIX).tenant
        case ByMakerKey():
            return shown.label.tenant


async def _label_of(tx: TenantTx, label: Label) -> UUID | None:
    found = await claim_store.find_label(tx, label.label)
    return None if found is None else found.enrolment_profile_id
