"""EST's own formats (RFC 7030, as clarified by RFC 8951): base64 in, base64 out.  Pure rules."""

from __future__ import annotations

import base64
import binascii

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pulse_common.errors import Malformed

CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
CERTIFICATES = "application/pkcs7-mime"
ATTRIBUTES = "application/csrattrs"
REQUEST = "application/pkcs10"

_P256_KEY = "301506072a8648ce3d0201310a06082a8648ce3d030107"  # id-ecPublicKey: {prime256v1}
_ECDSA_WITH_SHA256 = "06082a8648ce3d040302"
CSR_ATTRIBUTES = bytes.fromhex(f"3021{_P256_KEY}{_ECDSA_WITH_SHA256}")
"""What we would rather have: P-256 and SHA-256 (RFC 7030 section 4.5.2).  Names are none of the client's business."""


def read_request(body: bytes) -> str:
    """Return a PKCS#10 request in PEM.

    RFC 8951 section 3.1: base64 of the DER, white space anywhere.  Clients that send PEM are understood too.

    Raises:
        Malformed: it is neither.
    """
    text = b"".join(line for line in body.splitlines() if not line.startswith(b"-----"))
    try:
        der = base64.b64decode(b"".join(text.split()), validate=True)
        return x509.load_der_x509_csr(der).public_bytes(Encoding.PEM).decode()
    except (binascii.Error, ValueError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise Malformed("the body is not a PKCS#10 request in base64") from None


def certificates_only(pem: str) -> bytes:
    """Wrap certificates as a degenerate PKCS#7, in base64."""
    return in_base64(
        pkcs7.serialize_certificates(_certificates(pem), encoding=Encoding.DER),
    )


def in_base64(der: bytes) -> bytes:
    return base64.encodebytes(der)


def _certificates(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())
