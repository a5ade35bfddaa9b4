"""Build and read certificate revocation lists (RFC 5280 section 5), a shard at a time.

The Issuing Distribution Point is critical and equal to the distribution point in the certificates: without it EMQX
takes one list of an issuer for another, and a revoked certificate was let in.

The list is encoded here, not by cryptography's builder: that one copies all entries with each that is added, and
holds an object for each; 200,000 entries took it minutes, or half a gigabyte.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import CRLEntryExtensionOID

from cert_worker import der
from cert_worker.domain import CRL_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from cert_worker.ca import Signer
    from cert_worker.domain import Revocation

UNSPECIFIED = "unspecified"
# RFC 5280 section 5.3.1.  removeFromCRL (8) is for delta lists, which we have none of: who is released is left out.
REASON_CODES = {
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "privilegeWithdrawn": 9,
}
_VERSION_2 = der.integer(1)
_PEM_LINE = 64


class CrlRefused(Exception):  # noqa: N818 -- reads as an outcome
    """A list that must not be published; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crl:
    """One published list, in both encodings."""

    number: int
    this_update: datetime
    next_update: datetime
    der: bytes
    pem: bytes


def build(
    signer: Signer,
    issuer: x509.Certificate,
    entries: Sequence[Revocation],
    *,
    number: int,
    url: str,
    now: datetime,
) -> Crl:
    """Sign a list of ``entries`` that is good from ``now`` until ``CRL_LIFETIME`` later.

    Takes about 2 microseconds an entry: large ones are not for the event loop.
    """
    this_update = now.replace(microsecond=0)
    next_update = this_update + CRL_LIFETIME
    to_be_signed = der.sequence(
        (
            _VERSION_2,
            signer.algorithm,
            issuer.subject.public_bytes(),
            der.time(this_update),
            der.time(next_update),
            # RFC 5280 section 5.1.2.6: absent, not empty.
            der.sequence(_entries(entries)) if entries else b"",
            der.tlv(der.CONTEXT_0, _extensions(issuer, number, url)),
        )
    )
    content = der.sequence(
        (to_be_signed, signer.algorithm, der.bit_string(signer.sign(to_be_signed)))
    )
    return Crl(
        number=number,
        this_update=this_update,
        next_update=next_update,
        der=content,
        pem=as_pem(content),
    )


def read(content: bytes) -> Crl:
    """Read a list that ``build`` made."""
    found = x509.load_der_x509_crl(content)
    next_update = found.next_update_utc
    assert next_update is not None
    return Crl(
        number=found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number,
        this_update=found.last_update_utc,
        next_update=next_update,
        der=content,
        pem=as_pem(content),
    )


def check(made: Crl, issuer: x509.Certificate, *, url: str) -> None:
    """Read a list the way the broker will, and refuse what it could not use.

    Raises:
        CrlRefused: not readable as PEM, not of this issuer, or not what the certificates point to.
    """
    try:
        found = x509.load_pem_x509_crl(made.pem)
        scope = found.extensions.get_extension_for_class(x509.IssuingDistributionPoint)
        signed = found.is_signature_valid(issuer.public_key())  # type: ignore[arg-type]  # CAs have EC keys
    except (ValueError, TypeError, x509.ExtensionNotFound) as error:
        raise CrlRefused("the list can't be read back") from error
    if not signed or found.issuer != issuer.subject:
        raise CrlRefused("the list is not signed by its issuer")
    if not scope.critical or scope.value.full_name != [x509.UniformResourceIdentifier(url)]:
        raise CrlRefused("the list is not for its distribution point")
    if found.next_update_utc != made.next_update or found.last_update_utc != made.this_update:
        raise CrlRefused("the list is not for its time")


def serials(content: bytes) -> frozenset[int]:
    """Return every serial number on a list."""
    return frozenset(entry.serial_number for entry in x509.load_der_x509_crl(content))


def as_pem(content: bytes) -> bytes:
    text = base64.b64encode(content)
    lines = [text[at : at + _PEM_LINE] for at in range(0, len(text), _PEM_LINE)]
    return b"\n".join((b"-----BEGIN X509 CRL-----", *lines, b"-----END X509 CRL-----", b""))


def _entries(entries: Iterable[Revocation]) -> Iterable[bytes]:
    reasons = {reason: _reason(code) for reason, code in REASON_CODES.items()}
    # RFC 5280 section 5.3.1: no reason at all rather than "unspecified".
    reasons[UNSPECIFIED] = b""
    for entry in entries:
        content = (
            der.integer(entry.serial_number) + der.time(entry.revoked_at) + reasons[entry.reason]
        )
        # Always shorter than 128 bytes.
        yield bytes((der.SEQUENCE, len(content))) + content


def _reason(code: int) -> bytes:
    return der.sequence(
        (
            der.extension(
                CRLEntryExtensionOID.CRL_REASON.dotted_string,
                der.enumerated(code),
                critical=False,
            ),
        )
    )


def _extensions(issuer: x509.Certificate, number: int, url: str) -> bytes:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    authority = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    given: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (authority, False),
        (x509.CRLNumber(number), False),
        (_only_users_of(url), True),
    )
    return der.sequence(
        der.extension(value.oid.dotted_string, value.public_bytes(), critical=critical)
        for value, critical in given
    )


def _only_users_of(url: str) -> x509.IssuingDistributionPoint:
    return x509.IssuingDistributionPoint(
        full_name=[x509.UniformResourceIdentifier(url)],
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
