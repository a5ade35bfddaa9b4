"""Rules of fleet enrolment: who may go on, who waits, whom a hardware id belongs to.  No I/O."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pulse_common.errors import Conflict, Forbidden, Malformed, TooMany
from pulse_common.identity import TenantId
from pulse_common.ids import parse_uuid

if TYPE_CHECKING:
    from uuid import UUID

SECRET_PREFIX = "phs_"  # noqa: S105 -- "Pulse hardware secret", for secret scanners to find
LOST_ANSWER = timedelta(hours=24)
"""So long after its enrolment a device may ask again with the same key: the answer may have been lost."""
MOST_CERTIFICATES = 10
HOUR = timedelta(hours=1)
SOONEST_SECONDS = 5
LATEST_SECONDS = 300

State = Literal["registered", "pending", "approved", "rejected", "enrolled"]
_HARDWARE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")
_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolmentProfile:
    enrolment_profile_id: UUID
    name: str
    method: Literal["claim", "hardware"]
    approval: Literal["auto", "hold"]
    known_only: bool
    device_profile_id: UUID | None
    certificate_profile: str
    status: Literal["active", "closed"]
    most_devices: int | None
    most_per_hour: int | None
    devices: int
    hour_began_at: datetime | None
    devices_this_hour: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of hardware, as the tenant knows it."""

    hardware_id: str
    enrolment_profile_id: UUID | None
    device_id: UUID | None
    name: str | None
    state: State
    maker_key_sha256: bytes | None
    asked_key_sha256: bytes | None
    asked_at: datetime | None
    enrolled_at: datetime | None
    certificates: int


@dataclass(frozen=True, slots=True)
class Label:
    """EST's label of an enrolment profile: ``{tenant}.{label}``, so that no two tenants can want the same one."""

    tenant: TenantId
    label: str


def read_label(text: str) -> Label | None:
    """Read an EST label that names an enrolment profile; None for one that can't."""
    tenant, dot, label = text.partition(".")
    try:
        found = TenantId(parse_uuid(tenant))
    except ValueError:
        return None
    return Label(found, label) if dot and _LABEL.fullmatch(label) else None


def checked_label(text: str) -> str:
    if _LABEL.fullmatch(text) is None:
        raise Malformed("label must be 1 to 40 of a-z, 0-9 and -, a letter or digit first")
    return text


def checked_hardware_id(text: str) -> str:
    if _HARDWARE_ID.fullmatch(text) is None:
        raise Malformed(
            "hardware_id must be 1 to 64 of A-Z, a-z, 0-9, . _ : -, a letter or digit first"
        )
    return text


def key_of_request(csr_pem: str) -> bytes:
    """Return the SHA-256 of the public key whose holder signed a request.

    Raises:
        Malformed: it can't be read, or is not signed by its key.
    """
    try:
        csr = x509.load_pem_x509_csr(csr_pem.encode())
        spki = csr.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        is_signed = csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise Malformed("the CSR is not a readable PKCS#10 request in PEM") from None
    if not is_signed:
        raise Malformed("the CSR's signature does not match its key")
    return hashlib.sha256(spki).digest()


def require_open(profile: EnrolmentProfile, method: str) -> None:
    if profile.status != "active" or profile.method != method:
        raise Forbidden("the enrolment profile takes nobody in this way")


def next_state(
    profile: EnrolmentProfile, piece: Piece, key: bytes, now: datetime, *, is_proven: bool
) -> State:
    """Say what becomes of a piece whose holder asks with ``key``: ``pending`` waits, ``approved`` goes on.

    ``is_proven``: the piece itself showed who it is (a secret, or its maker's key).  A claim certificate proves only
    that it is one of the fleet, so what one key has begun no other key may go on with.

    Raises:
        Forbidden, Conflict, TooMany: it may not have a certificate, and why.
    """
    same_key = piece.asked_key_sha256 == key
    match piece.state:
        case "rejected":
            raise Forbidden("the enrolment was rejected")
        case "enrolled":
            _refuse_enrolled(piece, now, same_key=same_key)
            return "enrolled"
        case "pending" | "approved" if profile.approval == "hold":
            if not same_key and not is_proven:
                raise Conflict("another key asks under this hardware id")
            return piece.state
        case "pending" | "approved":
            return "approved"
        case "registered":
            return "pending" if profile.approval == "hold" else "approved"


def _refuse_enrolled(piece: Piece, now: datetime, *, same_key: bool) -> None:
    asked_lately = piece.enrolled_at is not None and now - piece.enrolled_at < LOST_ANSWER
    if not same_key or not asked_lately:
        raise Conflict("this hardware id is enrolled: its device renews, or forget the id first")
    if piece.certificates >= MOST_CERTIFICATES:
        raise TooMany("this hardware id was given too many certificates")


@dataclass(frozen=True, slots=True)
class Count:
    devices: int
    hour_began_at: datetime
    devices_this_hour: int


def counted(profile: EnrolmentProfile, now: datetime) -> Count:
    """Count one more device of a profile, whose row the caller has locked.

    Raises:
        Conflict: the profile has made as many as it may.
        TooMany: it has this hour; hours begin with their first device.
    """
    if profile.most_devices is not None and profile.devices >= profile.most_devices:
        raise Conflict(f"the enrolment profile's {profile.most_devices} devices are enrolled")
    began, this_hour = profile.hour_began_at, profile.devices_this_hour
    if began is None or now - began >= HOUR:
        began, this_hour = now, 0
    if profile.most_per_hour is not None and this_hour >= profile.most_per_hour:
        raise TooMany(f"the enrolment profile takes {profile.most_per_hour} devices an hour")
    return Count(profile.devices + 1, began, this_hour + 1)


def come_back_seconds(asked_at: datetime | None, now: datetime) -> int:
    """Say when to ask again: soon at first, seldom when it takes a person long."""
    waited = 0.0 if asked_at is None else (now - asked_at).total_seconds()
    return round(min(max(waited, SOONEST_SECONDS), LATEST_SECONDS))
