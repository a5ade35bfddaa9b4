"""Hold certificates and lists to RFC 5280 by pkilint, a linter that nobody here wrote.

A certificate is linted before it is signed: the same content under a throw-away key.  A finding means that the profile
is wrong, and the real signature is not made.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from pkilint import loader, pkix, validation  # type: ignore[import-untyped]  # pkilint has no types
from pkilint.pkix import certificate, crl, extension, name  # type: ignore[import-untyped]

if TYPE_CHECKING:
    from cryptography import x509

Unknown: TypeAlias = Any
"""pkilint has no types."""

# The code, and what the message must hold: pkilint's idea of a URI is a URL's whose host has a dot.  RFC 8141 names are
# none; `localhost` and a container's name have none (RFC 3986 asks for no dot).
_ACCEPTED = {
    "pkix.invalid_uri_syntax": re.compile(r'"(urn:pulse:tenant:|http://[a-z0-9-]+(:[0-9]+)?/)')
}
# pkilint counts from FATAL (0) to DEBUG.
_MILDEST = validation.ValidationFindingSeverity.WARNING


def findings_before_signing(builder: x509.CertificateBuilder) -> list[str]:
    """List what is wrong with a certificate that is about to be signed; about 5 ms."""
    trial = builder.sign(_throw_away_key(), hashes.SHA256())
    return certificate_findings(trial.public_bytes(Encoding.DER))


def certificate_findings(der: bytes) -> list[str]:
    return _findings(_certificate_validator(), loader.load_der_certificate(der, "certificate"))


def crl_findings(der: bytes) -> list[str]:
    return _findings(_crl_validator(), loader.load_der_crl(der, "list"))


def _findings(validator: Unknown, document: Unknown) -> list[str]:
    return [
        found.finding.code
        for result in validator.validate(document.root)
        for found in result.finding_descriptions
        if found.finding.severity <= _MILDEST and not _is_accepted(found)
    ]


def _is_accepted(found: Unknown) -> bool:
    known = _ACCEPTED.get(found.finding.code)
    return known is not None and known.search(found.message or "") is not None


@cache
def _throw_away_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@cache
def _certificate_validator() -> Unknown:
    return certificate.create_pkix_certificate_validator_container(
        certificate.create_decoding_validators(
            name.ATTRIBUTE_TYPE_MAPPINGS, extension.EXTENSION_MAPPINGS
        ),
        [
            certificate.create_issuer_validator_container([]),
            certificate.create_validity_validator_container(),
            certificate.create_subject_validator_container([]),
            certificate.create_extensions_validator_container([]),
            certificate.create_spki_validator_container([]),
        ],
    )


@cache
def _crl_validator() -> Unknown:
    return crl.create_pkix_crl_validator_container(
        [
            pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
            pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
        ],
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )
