"""Build and read certificate revocation lists (RFC 5280 section 5).

The Issuing Distribution Point is critical and equal to the distribution point in the certificates: without it EMQX
takes one list of an issuer for another, and a revoked certificate was let in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cert_worker.domain import CRL_LIFETIME

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cert_worker.ca import Signer
    from cert_worker.domain import Revocation

UNSPECIFIED = "unspecified"


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

    Slow with many entries (20,000: about 0.2 s); not for the event loop.
    """
    this_update = now.replace(microsecond=0)
    # The whole list at once: add_revoked_certificate() copies what it has on every call, which is quadratic.
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=issuer.subject,
        last_update=this_update,
        next_update=this_update + CRL_LIFETIME,
        revoked_certificates=[_entry(entry) for entry in entries],
    )
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    signed = signer.sign_crl(
        builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_only_users_of(url), critical=True)
    )
    return _crl(signed)


def read(der: bytes) -> Crl:
    """Read a list that ``build`` made."""
    return _crl(x509.load_der_x509_crl(der))


def _crl(signed: x509.CertificateRevocationList) -> Crl:
    next_update = signed.next_update_utc
    assert next_update is not None
    return Crl(
        number=signed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number,
        this_update=signed.last_update_utc,
        next_update=next_update,
        der=signed.public_bytes(Encoding.DER),
        pem=signed.public_bytes(Encoding.PEM),
    )


def _entry(revocation: Revocation) -> x509.RevokedCertificate:
    builder = x509.RevokedCertificateBuilder(
        revocation.serial_number, revocation.revoked_at.replace(microsecond=0)
    )
    # RFC 5280 section 5.3.1: no reason at all rather than "unspecified".
    if revocation.reason != UNSPECIFIED:
        reason = x509.CRLReason(x509.ReasonFlags(revocation.reason))
        builder = builder.add_extension(reason, critical=False)
    return builder.build()


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
