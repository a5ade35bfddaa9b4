"""The root's own revocation list, of its issuing CAs: made where the root is, brought here as a file, never worse.

A complete list without an Issuing Distribution Point (RFC 5280 section 5.2.5): there is only one, for CAs alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker.ca import PUBLIC_FILE, CaRefused, FileSigner, write_file
from cert_worker.profile import CLOCK_TOLERANCE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from pathlib import Path

LIST = "root.crl"
USUAL_DAYS = 180
LONGEST_DAYS = 397
LARGEST = 1024 * 1024


@dataclass(frozen=True, slots=True)
class RootList:
    """A list as it was read; ``serials`` of revoked issuing CAs."""

    der: bytes
    number: int
    this_update: datetime
    next_update: datetime
    serials: frozenset[int]


@dataclass(frozen=True, slots=True)
class Revoke:
    """An issuing CA that is to be on the list from now on."""

    certificate: x509.Certificate
    reason: x509.ReasonFlags


def make(
    folder: Path,
    passphrase: bytes,
    *,
    now: datetime,
    revoke: Iterable[Revoke] = (),
    days: int = USUAL_DAYS,
    signer: FileSigner | None = None,
) -> Path:
    """Write the next list beside the root: all that the last one said, and what is revoked now.

    Raises:
        CaRefused: the root can't be used, a certificate is none of its own, or ``days`` are too many.
    """
    if not 1 <= days <= LONGEST_DAYS:
        raise CaRefused(f"a list is good for 1 to {LONGEST_DAYS} days")
    signer = signer or FileSigner.open(folder / "root.key", passphrase)
    root = x509.load_pem_x509_certificate((folder / "root.pem").read_bytes())
    path = folder / LIST
    before = x509.load_pem_x509_crl(path.read_bytes()) if path.exists() else None
    entries = {entry.serial_number: entry for entry in before or ()}
    for one in revoke:
        _require_own(one.certificate, root)
        entries.setdefault(one.certificate.serial_number, _entry(one, now))
    number = 1 if before is None else _number(before) + 1
    builder = _builder(root, number, now.replace(microsecond=0), timedelta(days=days))
    for entry in entries.values():
        builder = builder.add_revoked_certificate(entry)
    made = signer.sign_list(builder)
    write_file(path, made.public_bytes(Encoding.PEM), PUBLIC_FILE)
    return path


def read(content: bytes, root: x509.Certificate) -> RootList:
    """Read a list, in PEM or DER, that is good for something.

    Raises:
        CaRefused: it is no list, or none of this root's.
    """
    if len(content) > LARGEST:
        raise CaRefused("the list is too large")
    try:
        load = x509.load_pem_x509_crl if content.startswith(b"-----") else x509.load_der_x509_crl
        found = load(content)
        number, next_update = _number(found), found.next_update_utc
        key = root.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey), "our roots have EC keys"
        signed = found.issuer == root.subject and found.is_signature_valid(key)
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise CaRefused("that is not a revocation list with a number") from error
    if not signed:
        raise CaRefused("the list is not of this root")
    if next_update is None:
        raise CaRefused("the list has no end")
    return RootList(
        der=found.public_bytes(Encoding.DER),
        number=number,
        this_update=found.last_update_utc,
        next_update=next_update,
        serials=frozenset(entry.serial_number for entry in found),
    )


def refusal_to_follow(
    new: RootList, before: RootList | None, *, expired: Iterable[int], now: datetime
) -> str | None:
    """Say why a list may not take the place of another, if it may not: worse is a forgotten CA, or an older list."""
    if new.next_update <= now:
        return "it has expired"
    if new.this_update > now + CLOCK_TOLERANCE:
        return "it is from the future"
    if before is None:
        return None
    if new.number <= before.number or new.this_update < before.this_update:
        return f"it is older: number {new.number}, after {before.number}"
    if forgotten := before.serials - new.serials - set(expired):
        return f"it forgets {len(forgotten)} revoked authorities, {min(forgotten):x} the first"
    return None


def _builder(
    root: x509.Certificate, number: int, now: datetime, lifetime: timedelta
) -> x509.CertificateRevocationListBuilder:
    identifier = root.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root.subject)
        .last_update(now)
        .next_update(now + lifetime)
        .add_extension(authority, critical=False)
        .add_extension(x509.CRLNumber(number), critical=False)
    )


def _entry(one: Revoke, now: datetime) -> x509.RevokedCertificate:
    builder = (
        x509.RevokedCertificateBuilder()
        .serial_number(one.certificate.serial_number)
        .revocation_date(now.replace(microsecond=0))
    )
    if one.reason is not x509.ReasonFlags.unspecified:
        builder = builder.add_extension(x509.CRLReason(one.reason), critical=False)
    return builder.build()


def _require_own(certificate: x509.Certificate, root: x509.Certificate) -> None:
    try:
        certificate.verify_directly_issued_by(root)
    except Exception as error:
        raise CaRefused("the certificate to revoke is not of this root") from error


def _number(found: x509.CertificateRevocationList) -> int:
    return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
