"""Who may have a certificate and what a CRL must list: rules, and the records they are about."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Literal

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pulse_common.errors import AppError, Conflict, Malformed, NotFound, Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from cryptography import x509

    from cert_worker.csr import DeviceKey
    from pulse_common import events

CRL_LIFETIME = timedelta(hours=24)
CRL_INTERVAL = timedelta(hours=1)
CRL_ALARM = timedelta(hours=1)
"""Readiness turns red this long before a CRL is stale."""

KEY_COMPROMISE = "keyCompromise"
CERTIFICATE_HOLD = "certificateHold"


IssuerStatus = Literal["standby", "active", "draining", "retired", "revoked"]
DEVICE_PROFILE = "device"
DEFAULT_SHARDS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """A CA.  An issuing one issues for ``profile`` while it is active, and spreads its list over ``crl_shards``."""

    issuer_id: UUID
    kind: Literal["root", "issuing"]
    certificate: x509.Certificate
    status: IssuerStatus = "active"
    profile: str | None = None
    crl_shards: int = DEFAULT_SHARDS
    lists_until: datetime | None = None
    """Of a retired one: how long its lists are still made."""
    told_of: bool = True
    """Whether devices are told to trust it: not while it only stands by."""

    @property
    def counts(self) -> bool:
        return self.status not in ("retired", "revoked")

    def has_lists(self, now: datetime) -> bool:
        """Whether revocations of it must still be told: what it issued may be within its dates."""
        if self.status == "retired":
            return self.lists_until is not None and now < self.lists_until
        return self.counts


@dataclass(frozen=True, slots=True, order=True)
class ShardId:
    issuer_id: UUID
    shard: int


def shard_of(serial_number: int, shards: int) -> int:
    """Say which list of its issuer tells of a certificate.  Serial numbers are random, so lists are of equal size."""
    return serial_number % shards


@dataclass(frozen=True, slots=True)
class DeviceState:
    tenant_status: str
    device_status: str
    issuer_status: str = "active"


@dataclass(frozen=True, slots=True)
class KeyUse:
    """A certificate that was already issued for some public key."""

    tenant_id: UUID
    device_id: UUID
    revocation_reason: str | None


@dataclass(frozen=True, slots=True)
class Revocation:
    """One entry of a CRL; ``reason`` is a CRLReason name of RFC 5280."""

    serial_number: int
    revoked_at: datetime
    reason: str


class IssuerReplaced(Unavailable):
    """The authority that was to sign was replaced after it was looked up: the next one may be asked at once."""


def refusal_of_device(device: DeviceState | None) -> AppError | None:
    """Say why this device may not have a certificate, if it may not."""
    if device is None:
        return NotFound("no such device")
    if device.tenant_status != "active":
        return Conflict("the tenant is suspended")
    if device.device_status != "active":
        return Conflict("the device is disabled")
    if device.issuer_status != "active":
        return IssuerReplaced("the issuing authority has just been replaced; ask again")
    return None


def refusal_of_key(uses: Sequence[KeyUse], *, tenant_id: UUID, device_id: UUID) -> AppError | None:
    """Say why this key may not be certified: it is another device's, or it is known to have leaked."""
    if any((use.tenant_id, use.device_id) != (tenant_id, device_id) for use in uses):
        return Conflict("this key belongs to another device; each device needs a key of its own")
    if any(use.revocation_reason == KEY_COMPROMISE for use in uses):
        return Conflict("this key was revoked as compromised; make a new one")
    return None


def crl_is_due(this_update: datetime | None, now: datetime) -> bool:
    return this_update is None or now - this_update >= CRL_INTERVAL


def crl_is_alarming(next_update: datetime, now: datetime) -> bool:
    return next_update - now <= CRL_ALARM


def listed_if_expiring_after(previous_this_update: datetime | None) -> datetime:
    """Return the expiry up to which revoked certificates may be left out of the next CRL.

    RFC 5280 section 3.3: an entry must stay until it has appeared on a CRL issued after the certificate expired.  We
    drop it only when such a CRL has also passed its own ``nextUpdate``, so that whoever holds a list saw the entry.
    """
    if previous_this_update is None:
        return datetime.min.replace(tzinfo=UTC)
    return previous_this_update - CRL_LIFETIME


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A device's certificate, as it is kept and told of."""

    certificate_id: UUID
    device_id: UUID
    issuer_id: UUID
    public_key_sha256: bytes
    profile: str
    crl_shard: int
    certificate: x509.Certificate
    renewal: bool = False

    @property
    def serial_number(self) -> str:
        return f"{self.certificate.serial_number:x}"


@dataclass(frozen=True, slots=True)
class Changed:
    """A certificate that has just been revoked, held or released."""

    certificate_id: UUID
    device_id: UUID
    shard: ShardId
    serial_number: str
    fingerprint_sha256: str


@dataclass(frozen=True, slots=True)
class CrlHead:
    """The newest list of a shard, without its content."""

    number: int
    this_update: datetime | None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which certificates somebody means: ``by`` says what ``value`` is."""

    by: events.CertificateSelector
    value: str

    def __post_init__(self) -> None:
        readable = _READABLE[self.by].fullmatch(self.value)
        if not readable:
            raise Malformed(f"that does not name a {self.by}")


_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_READABLE: dict[events.CertificateSelector, re.Pattern[str]] = {
    "certificate": _UUID,
    "device": _UUID,
    "issuer": _UUID,
    "profile": re.compile(r"[a-z][a-z0-9-]{0,31}"),
    "key": re.compile(r"[0-9a-f]{64}"),
}


def refusal_to_forget(
    before: Collection[int], after: Collection[int], excused: Collection[int]
) -> str | None:
    """Say why a list may not follow another: a serial number went that neither expired nor was released.

    A database that was restored from a backup forgets revocations; a list made from it would let revoked devices in.
    """
    forgotten = set(before) - set(after) - set(excused)
    if forgotten:
        return f"it forgets {len(forgotten)} revoked serial numbers, {min(forgotten):x} the first"
    return None


def key_digest(key: DeviceKey) -> bytes:
    """Name a public key: SHA-256 of its SubjectPublicKeyInfo."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).digest()
