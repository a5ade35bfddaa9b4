"""The device's own key: made here, never leaves this machine; only a signed request does."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from pulse_device.errors import LocalFilesError


def new_key_pem() -> bytes:
    """Make an EC P-256 key; the file's mode protects it, as a device has nobody to type a password."""
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def parse_key(pem: bytes, *, name: str) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise LocalFilesError(f"{name} is not a readable private key") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise LocalFilesError(f"{name} is not an elliptic curve key")
    return key


def certificate_request_pem(key: ec.EllipticCurvePrivateKey) -> str:
    """Sign a request with the key (proof of possession).

    The subject is empty: the enrolment token says which device this is, and the server alone
    decides the names in the certificate.
    """
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    signed = request.sign(key, hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.PEM).decode("ascii")


def same_key(certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> bool:
    try:
        public = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False
    return isinstance(public, ec.EllipticCurvePublicKey) and public == key.public_key()
