"""A CSR yields a good key or a named refusal, whatever is in it."""

from __future__ import annotations

import base64
from functools import cache
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)
from hypothesis import given
from hypothesis import strategies as st

from cert_worker.csr import LARGEST_CSR, CsrRefused, read_csr

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes


def csr_of(
    key: CertificateIssuerPrivateKeyTypes,
    algorithm: hashes.SHA256 | hashes.SHA224 | None = None,
) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        return builder.sign(key, None).public_bytes(Encoding.DER)
    return builder.sign(key, algorithm or hashes.SHA256()).public_bytes(Encoding.DER)


def pem(der: bytes, label: str = "CERTIFICATE REQUEST") -> str:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n"


@cache
def rsa_key(bits: int) -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, bits)


@cache
def p256_csr() -> bytes:
    return csr_of(ec.generate_private_key(ec.SECP256R1()))


def with_rsa_numbers(modulus: int, exponent: int) -> bytes:
    """Put another public key into a CSR; the signature no longer fits, but the key is judged before it."""
    genuine = rsa_key(2048)
    old = genuine.public_key().public_numbers()
    der = csr_of(genuine)
    number = old.n.to_bytes(257, "big")
    assert der.count(number) == 1
    replaced = der.replace(number, modulus.to_bytes(257, "big"))
    marker = b"\x02\x03\x01\x00\x01"
    assert replaced.count(marker) == 1
    return replaced.replace(marker, b"\x02\x03" + exponent.to_bytes(3, "big"))


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["p256", "p384", "ed25519", "rsa2048"],
)
def test_good_key_is_accepted(
    key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey,
) -> None:
    assert read_csr(pem(csr_of(key))) == key.public_key()


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        (ec.generate_private_key(ec.SECP521R1()), "curve secp521r1"),
        (ec.generate_private_key(ec.SECP256K1()), "curve secp256k1"),
        (ed448.Ed448PrivateKey.generate(), "this kind of key"),
        (dsa.generate_private_key(1024), "this kind of key"),  # noqa: S505 -- weak on purpose
        (rsa.generate_private_key(65537, 1024), "1024 bits"),  # noqa: S505 -- weak on purpose
        (rsa.generate_private_key(65537, 2040), "2040 bits"),  # noqa: S505 -- weak on purpose
        (rsa.generate_private_key(3, 2048), "exponent is too small"),
    ],
    ids=["p521", "k1", "ed448", "dsa", "rsa1024", "rsa2040", "rsa-e3"],
)
def test_weak_or_foreign_key_is_refused_with_a_reason(
    key: CertificateIssuerPrivateKeyTypes, reason: str
) -> None:
    with pytest.raises(CsrRefused, match=reason):
        read_csr(pem(csr_of(key)))


def test_even_exponent_is_refused() -> None:
    modulus = rsa_key(2048).public_key().public_numbers().n

    with pytest.raises(CsrRefused):
        read_csr(pem(with_rsa_numbers(modulus, 0x010002)))


def test_even_modulus_is_refused() -> None:
    modulus = rsa_key(2048).public_key().public_numbers().n

    with pytest.raises(CsrRefused, match="modulus is even"):
        read_csr(pem(with_rsa_numbers(modulus - 1, 65537)))


def test_oversized_rsa_key_is_refused_before_its_signature_is_verified() -> None:
    with pytest.raises(CsrRefused, match="8192 bits"):
        read_csr(pem(_rsa_csr_with_unchecked_signature(8192, 65537)))


def test_monstrous_exponent_is_refused_before_its_signature_is_verified() -> None:
    with pytest.raises(CsrRefused, match="exponent is too large"):
        read_csr(pem(_rsa_csr_with_unchecked_signature(2048, (1 << 200) + 1)))


SHA256_WITH_RSA = bytes.fromhex("300d06092a864886f70d01010b0500")


def _rsa_csr_with_unchecked_signature(
    bits: int, exponent: int, algorithm: bytes = SHA256_WITH_RSA
) -> bytes:
    numbers = rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) + 1)
    key = numbers.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    info = _der(0x30, b"\x02\x01\x00" + _der(0x30, b"") + key + b"\xa0\x00")
    return _der(0x30, info + algorithm + _der(0x03, b"\x00" + bytes(bits // 8)))


def _der(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def test_weak_signature_is_refused() -> None:
    ecdsa = csr_of(ec.generate_private_key(ec.SECP256R1()), hashes.SHA224())
    sha1_with_rsa = bytes.fromhex("300d06092a864886f70d0101050500")

    for der in (ecdsa, _rsa_csr_with_unchecked_signature(2048, 65537, sha1_with_rsa)):
        with pytest.raises(CsrRefused, match="use SHA-256 or stronger"):
            read_csr(pem(der))


def test_somebody_elses_key_is_refused() -> None:
    stolen = ec.generate_private_key(ec.SECP256R1()).public_key()
    own = ec.generate_private_key(ec.SECP256R1())
    der = csr_of(own)
    swapped = der.replace(_point(own.public_key()), _point(stolen))
    assert swapped != der

    with pytest.raises(CsrRefused, match="signature does not match"):
        read_csr(pem(swapped))


def _point(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def test_csr_over_the_limit_is_refused() -> None:
    with pytest.raises(CsrRefused, match="larger than"):
        read_csr(pem(p256_csr()) + "\n" * LARGEST_CSR)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "hello",
        "\ud800",
        "\x00",
        pem(b""),
        pem(b"\x30\x00"),
        pem(p256_csr(), "CERTIFICATE"),
        pem(p256_csr(), "PRIVATE KEY"),
        pem(p256_csr()[:-1]),
        pem(p256_csr() + b"\x00"),
    ],
)
def test_what_is_no_csr_is_refused(text: str) -> None:
    with pytest.raises(CsrRefused, match="not a readable PKCS#10 request"):
        read_csr(text)


@given(st.text(max_size=400))
def test_garbage_text_raises_nothing_but_the_refusal(text: str) -> None:
    with pytest.raises(CsrRefused):
        read_csr(text)


@given(st.binary(max_size=400))
def test_garbage_der_raises_nothing_but_the_refusal(der: bytes) -> None:
    with pytest.raises(CsrRefused):
        read_csr(pem(der))


@given(
    st.sampled_from(["p256", "rsa", "ed25519"]),
    st.lists(st.tuples(st.integers(0, 5000), st.integers(1, 255)), min_size=1, max_size=4),
)
def test_damaged_csr_raises_nothing_but_the_refusal(
    kind: str, damages: list[tuple[int, int]]
) -> None:
    der = bytearray(_genuine(kind))
    for position, flip in damages:
        der[position % len(der)] ^= flip

    try:
        key = read_csr(pem(bytes(der)))
    except CsrRefused:
        return
    # Damages can undo each other, and a wider encoding may say the same; the key must still be the one that signed.
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert load_der_public_key(spki) == x509.load_der_x509_csr(_genuine(kind)).public_key()


@cache
def _genuine(kind: str) -> bytes:
    match kind:
        case "p256":
            return p256_csr()
        case "rsa":
            return csr_of(rsa_key(2048))
        case _:
            return csr_of(ed25519.Ed25519PrivateKey.generate())
