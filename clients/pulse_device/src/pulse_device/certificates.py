"""Judge certificates that a server handed out: is it ours, by whom, for whom, until when."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pulse_device.keys import same_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric import ec

    from pulse_device.names import DeviceName

LONGEST_CHAIN = 5
MOST_AUTHORITIES = 64
RENEWAL_SPREAD = 0.05
"""Devices that were enrolled on one day renew over this share of a lifetime."""


class UntrustedCertificateError(Exception):
    """Why a certificate is not acceptable."""


@dataclass(frozen=True, slots=True)
class Lifetime:
    serial_number: str
    not_before: datetime
    not_after: datetime

    def expired(self, now: datetime) -> bool:
        return now >= self.not_after

    def renewal_due(self, now: datetime) -> bool:
        """Past two thirds: time enough left to notice and repair a renewal that fails."""
        return now >= self.not_before + (self.not_after - self.not_before) * 2 / 3

    def renew_at(self, fraction: float) -> datetime:
        """Return when to ask for the next one: after two thirds, and not with everybody else at once."""
        lifetime = self.not_after - self.not_before
        return self.not_before + lifetime * (2 / 3 + RENEWAL_SPREAD * fraction)

    def days_left(self, now: datetime) -> int:
        return max(0, (self.not_after - now).days)


def lifetime_of(certificate: x509.Certificate) -> Lifetime:
    return Lifetime(
        serial_number=f"{certificate.serial_number:x}",
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )


def parse_certificates(pem: bytes) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except (ValueError, x509.InvalidVersion) as error:
        raise UntrustedCertificateError("it is not PEM certificates") from error


def check_issued(
    *,
    leaf: x509.Certificate,
    chain: Sequence[x509.Certificate],
    key: ec.EllipticCurvePrivateKey,
    name: DeviceName,
    now: datetime,
) -> None:
    """Raise UntrustedCertificateError unless the leaf is ours, names us, and the chain holds.

    The chain is the issuing CA first and its root last. That root is taken on the word of the
    server, whose own TLS certificate was verified; the check keeps a mixed-up or tampered answer
    from being stored.
    """
    if not same_key(leaf, key):
        raise UntrustedCertificateError("it was issued for another key")
    check_names(leaf, name)
    if leaf.not_valid_after_utc <= now:
        raise UntrustedCertificateError("it has already expired")
    _check_usage(leaf)
    _check_chain(leaf, chain, now)


def check_names(leaf: x509.Certificate, name: DeviceName) -> None:
    """Raise unless CN, O and the SAN URI are this device's, each exactly once."""
    try:
        alternative = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = alternative.value.get_values_for_type(x509.UniformResourceIdentifier)
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError) as error:
        raise UntrustedCertificateError("it has no readable alternative name") from error
    if _subject_values(leaf, NameOID.COMMON_NAME) != [name.device_id]:
        raise UntrustedCertificateError("its CN is not the device id")
    if _subject_values(leaf, NameOID.ORGANIZATION_NAME) != [name.tenant_id]:
        raise UntrustedCertificateError("its O is not the tenant id")
    if uris != [name.urn]:
        raise UntrustedCertificateError("its URI is not that of the device")


def _subject_values(leaf: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str | bytes]:
    return [attribute.value for attribute in leaf.subject.get_attributes_for_oid(oid)]


def _check_usage(leaf: x509.Certificate) -> None:
    if _is_ca(leaf):
        raise UntrustedCertificateError("it is a CA certificate")
    try:
        usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if ExtendedKeyUsageOID.CLIENT_AUTH not in usage:
        raise UntrustedCertificateError("it is not for client authentication")


def _check_chain(leaf: x509.Certificate, chain: Sequence[x509.Certificate], now: datetime) -> None:
    if not 1 <= len(chain) <= LONGEST_CHAIN:
        raise UntrustedCertificateError("its chain has an impossible length")
    for issuer in chain:
        if not _is_ca(issuer):
            raise UntrustedCertificateError("a certificate in its chain is not a CA")
        if issuer.not_valid_after_utc <= now:
            raise UntrustedCertificateError("a CA in its chain has expired")
    root = chain[-1]
    try:
        for issued, issuer in pairwise((leaf, *chain, root)):
            issued.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise UntrustedCertificateError("its chain does not lead to the given root") from error


def check_authorities(certificates: Sequence[x509.Certificate], now: datetime) -> None:
    """Raise unless these are CAs, each within its dates and signed by one among them."""
    if not 1 <= len(certificates) <= MOST_AUTHORITIES:
        raise UntrustedCertificateError("an impossible number of authorities")
    for certificate in certificates:
        if not _is_ca(certificate) or certificate.not_valid_after_utc <= now:
            raise UntrustedCertificateError("one of the authorities is no CA, or has expired")
        if not any(_issued(issuer, certificate) for issuer in certificates):
            raise UntrustedCertificateError("one of the authorities hangs from none of them")


def _issued(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm):
        return False
    return True


def _is_ca(certificate: x509.Certificate) -> bool:
    try:
        extensions = certificate.extensions
        if not extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
            return False
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        return False
    try:
        return extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True
