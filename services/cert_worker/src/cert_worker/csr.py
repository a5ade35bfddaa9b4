"""Read a certificate signing request from anywhere: a usable public key comes out, or one named refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from pulse_common.errors import Malformed

if TYPE_CHECKING:
    from cert_worker.settings import KeyType

LARGEST_CSR = 16 * 1024
SMALLEST_RSA_BITS = 2048
LARGEST_RSA_BITS = 4096
SMALLEST_RSA_EXPONENT = 65537
LARGEST_RSA_EXPONENT_BITS = 64
CURVES = frozenset({"secp256r1", "secp384r1"})
SIGNATURE_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

DeviceKey = ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class CsrRefused(Malformed):
    """The request can't be used; the message says why."""


def read_csr(pem: str) -> DeviceKey:
    """Return the key of a request whose sender has shown that it holds the private half.

    Everything else that a request asks for (names, extensions, lifetimes) is ignored: the profile decides those.

    Raises:
        CsrRefused: too large, unreadable, a kind or size of key that is not for devices, or a wrong signature.
    """
    if len(pem) > LARGEST_CSR:
        raise CsrRefused(f"the CSR is larger than {LARGEST_CSR} characters")
    try:
        csr = x509.load_pem_x509_csr(pem.encode())
        key = csr.public_key()
        algorithm = csr.signature_hash_algorithm
    except (ValueError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise CsrRefused("the CSR is not a readable PKCS#10 request in PEM") from error
    # The key first: verifying with a monstrous one is work that an attacker should not be able to order.
    accepted = accept_key(key)
    if algorithm is not None and not isinstance(algorithm, SIGNATURE_HASHES):
        raise CsrRefused(f"the CSR is signed with {algorithm.name}; use SHA-256 or stronger")
    if not _is_signed_by_its_key(csr):
        raise CsrRefused("the CSR's signature does not match its key")
    return accepted


def accept_key(key: object) -> DeviceKey:
    """Return the key when it is of a kind and size for devices.

    Raises:
        CsrRefused: naming what is wrong.
    """
    match key:
        case ec.EllipticCurvePublicKey() if key.curve.name in CURVES:
            return key
        case ec.EllipticCurvePublicKey():
            raise CsrRefused(f"curve {key.curve.name} is not accepted; use P-256 or P-384")
        case ed25519.Ed25519PublicKey():
            return key
        case rsa.RSAPublicKey():
            return _accept_rsa(key)
        case _:
            raise CsrRefused("this kind of key is not accepted; use P-256, P-384, Ed25519 or RSA")


def _accept_rsa(key: rsa.RSAPublicKey) -> rsa.RSAPublicKey:
    if not SMALLEST_RSA_BITS <= key.key_size <= LARGEST_RSA_BITS:
        raise CsrRefused(
            f"an RSA key of {key.key_size} bits is not accepted; use {SMALLEST_RSA_BITS} to {LARGEST_RSA_BITS}"
        )
    numbers = key.public_numbers()
    if numbers.e < SMALLEST_RSA_EXPONENT or numbers.e % 2 == 0:
        raise CsrRefused("the RSA exponent is too small or even; use 65537")
    if numbers.e.bit_length() > LARGEST_RSA_EXPONENT_BITS:
        raise CsrRefused("the RSA exponent is too large; use 65537")
    if numbers.n % 2 == 0:
        raise CsrRefused("the RSA modulus is even")
    return key


def _is_signed_by_its_key(csr: x509.CertificateSigningRequest) -> bool:
    try:
        return csr.is_signature_valid
    except (ValueError, TypeError, UnsupportedAlgorithm):
        return False  # the algorithm it names does not fit its key


def key_type(key: DeviceKey) -> KeyType:
    match key:
        case rsa.RSAPublicKey():
            return "RSA"
        case ed25519.Ed25519PublicKey():
            return "Ed25519"
        case _:
            return "P-256" if key.curve.name == "secp256r1" else "P-384"
