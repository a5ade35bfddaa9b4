"""Whose certificate it is: the names inside one client certificate, read strictly.

The broker's TLS has verified the chain; what is read here was signed by our CA or is refused by its fingerprint later.
The names are validated again all the same, because they become topics (hazard 13).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from pulse_common.identity import TenantId
from pulse_common.ids import parse_uuid

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

LARGEST_BYTES = 16 * 1024


class CertificateRefused(Exception):  # noqa: N818 -- reads as an outcome
    """The bytes are not a certificate of a device; the message says why, for the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCertificate:
    tenant: TenantId
    device: UUID
    fingerprint: bytes
    """SHA-256 of the DER."""
    serial_number: str
    not_before: datetime
    not_after: datetime


def read_certificate(der: bytes) -> DeviceCertificate:
    """Read the names and dates of a device certificate.

    Raises:
        CertificateRefused: it cannot be parsed, or its CN, O and SAN are not exactly one device's.
    """
    if len(der) > LARGEST_BYTES:
        raise CertificateRefused("larger than any of ours")
    try:
        certificate = x509.load_der_x509_certificate(der)
        device = _the_one(certificate.subject, NameOID.COMMON_NAME)
        tenant = _the_one(certificate.subject, NameOID.ORGANIZATION_NAME)
        names = list(
            certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        )
        found = DeviceCertificate(
            tenant=TenantId(parse_uuid(tenant)),
            device=parse_uuid(device),
            fingerprint=hashlib.sha256(der).digest(),
            serial_number=f"{certificate.serial_number:x}"[:40],
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
        )
    except (
        ValueError,
        TypeError,
        OverflowError,
        x509.InvalidVersion,
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
    ) as error:
        raise CertificateRefused(str(error)[:200]) from error
    except x509.UnsupportedGeneralNameType as error:
        raise CertificateRefused("a kind of name that no device has") from error
    if names != [x509.UniformResourceIdentifier(f"urn:pulse:tenant:{tenant}:device:{device}")]:
        raise CertificateRefused("the SAN is not exactly the URI of CN and O")
    return found


def _the_one(subject: x509.Name, oid: x509.ObjectIdentifier) -> str:
    values = [attribute.value for attribute in subject.get_attributes_for_oid(oid)]
    if len(values) != 1 or not isinstance(values[0], str):
        raise ValueError(f"the subject holds {len(values)} of {oid.dotted_string}")
    return values[0]
