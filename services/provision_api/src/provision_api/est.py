"""EST's own formats (RFC 7030, as clarified by RFC 8951): base64 in, base64 out.  Pure rules."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pulse_common.errors import Malformed

if TYPE_CHECKING:
    from collections.abc import Collection

CERTS_ONLY = "application/pkcs7-mime; smime-type=certs-only"
CERTIFICATES = "application/pkcs7-mime"
ATTRIBUTES = "application/csrattrs"
REQUEST = "application/pkcs10"

# What we would rather have, the first that a profile takes (RFC 7030 section 4.5.2).  Names are none of the client's
# business.
_ATTRIBUTES = {
    # id-ecPublicKey: {prime256v1}, ecdsa-with-SHA256
    "P-256": "3021301506072a8648ce3d0201310a06082a8648ce3d03010706082a8648ce3d040302",
    # id-ecPublicKey: {secp384r1}, ecdsa-with-SHA384
    "P-384": "301e301206072a8648ce3d0201310706052b8104002206082a8648ce3d040303",
    # id-Ed25519
    "Ed25519": "300506032b6570",
    # rsaEncryption: {2048}, sha256WithRSAEncryption
    "RSA": "301e301106092a864886f70d01010131040202080006092a864886f70d01010b",
}


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


def attributes(key_types: Collection[str]) -> bytes:
    """Say which key a profile would like best; without a word of the CA's, P-256."""
    best = next((kind for kind in _ATTRIBUTES if kind in key_types), "P-256")
    return bytes.fromhex(_ATTRIBUTES[best])


def certificates_only(pem: str) -> bytes:
    """Wrap certificates as a degenerate PKCS#7, in base64."""
    return in_base64(
        pkcs7.serialize_certificates(_certificates(pem), encoding=Encoding.DER),
    )


def in_base64(der: bytes) -> bytes:
    return base64.encodebytes(der)


def _certificates(pem: str) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(pem.encode())
