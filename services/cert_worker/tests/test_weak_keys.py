"""Keys that others can find out, or know already, get no certificate."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cert_worker.csr import CsrRefused
from cert_worker.weak_keys import NO_LIST, Blocklist, _number, refuse_weak

if TYPE_CHECKING:
    from pathlib import Path

    from cert_worker.csr import DeviceKey

# Primes of the vulnerable library are k * M + (65537 ** a mod M), M the product of the first 126 primes for 2048 bits.
ROCA_GENERATOR = 65537
KEYS: dict[str, DeviceKey] = {
    "p256": ec.generate_private_key(ec.SECP256R1()).public_key(),
    "p384": ec.generate_private_key(ec.SECP384R1()).public_key(),
    "ed25519": ed25519.Ed25519PrivateKey.generate().public_key(),
    "rsa": rsa.generate_private_key(65537, 2048).public_key(),
}


# Public keys that were really made: by a smart card with Infineon's library (CVE-2017-15361), and by OpenSSL on Debian
# in 2008 (CVE-2008-0166).  Both are among badkeys' own test data.
ROCA_KEY = """\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAkTKtIR/MDftNrkgyashkwifks5Swm9HEkw4ZcCijyQdpTStInk9p
dUrq4zjG6tk5xX9AaYXLu47fmiBVzClGvAXTZbpn6JbG1IERUs+i0pBRT5CzUu7v
J/63L72NzVvJFaT0SUE5zByhCjJE+pflMnX1e1UptOdnN5AHeY4RKkugVse3XO2x
Ms3yH3vTyZdtnaOIFRU0d6E7PrsgRtEAqFHcAGmPUw0ZOW8A++8sS/FlnrxMf9lV
a1/8k/A8otPfrNIipfAoq0MKJ+oxE2wML1DDxIGTGmNaN3gPANJyeuca7ptA+NGq
5oU1x3pWMXgSvrVSXUooNk8xIkrKxSz3LQIDAQAB
-----END RSA PUBLIC KEY-----
"""
DEBIAN_KEY = """\
-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAwJZTDExKND/DiP+LbhTIi2F0hZZt0PdX897LLwPf3+b1GOCUj1OH
BZvVqhJPJtOPE53W68I0NgVhaJdY6bFOA/cUUIFnN0y/ZOJOJsPNle1aXQTjxAS+
FXu4CQ6a2pzcU+9+gGwed7XxAkIVCiTprfmRCI2vIKdb61S8kf5D3YdVRH/Tq977
nxyYeosEGYJFBOIT+N0mqca37S8hA9hCJyD3p0AM40dD5M5ARAxpAT7+oqOXkPzf
zLtCTaHYJK3+WAce121Br4NuQJPqYPVxniUPohT4YxFTqB7vwX2C4/gZ2ldpHtlg
JVAHT96nOsnlz+EPa5GtwxtALD43CwOlWQIDAQAB
-----END RSA PUBLIC KEY-----
"""
# What the list holds for it: 15 bytes of the SHA-256 of its modulus, as badkeys looks it up.
DEBIAN_RECORD = bytes.fromhex("31c152529eb033a010f8c272fd8d42")


def rsa_key(pem: str) -> rsa.RSAPublicKey:
    key = load_pem_public_key(pem.encode())
    assert isinstance(key, rsa.RSAPublicKey)
    return key


def _primes(count: int) -> list[int]:
    found: list[int] = []
    candidate = 2
    while len(found) < count:
        if all(candidate % prime for prime in found):
            found.append(candidate)
        candidate += 1
    return found


def roca_like_modulus() -> int:
    """Return a number with the fingerprint that such a library's moduli have: a power of 65537 modulo small primes."""
    product = 1
    for prime in _primes(126):
        product *= prime
    # The fingerprint sees the modulus only modulo M, so no prime factors of the right form are needed here.
    multiple = (1 << 2047) // product + 12_345
    return multiple * product + pow(ROCA_GENERATOR, 987_654, product)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_good_key_passes(key: DeviceKey) -> None:
    refuse_weak(key, NO_LIST)


def test_key_with_the_fingerprint_of_roca_is_refused() -> None:
    key = rsa.RSAPublicNumbers(65537, roca_like_modulus()).public_key()

    with pytest.raises(CsrRefused, match="ROCA"):
        refuse_weak(key, NO_LIST)


def test_key_that_a_vulnerable_card_made_is_refused() -> None:
    with pytest.raises(CsrRefused, match="ROCA"):
        refuse_weak(rsa_key(ROCA_KEY), NO_LIST)


def test_key_of_debians_broken_openssl_is_refused_where_the_list_is_and_only_there(
    tmp_path: Path,
) -> None:
    records = [sha256(b"%d" % n).digest()[:15] + b"\1" for n in range(2000)]
    file = tmp_path / "blocklist.dat"
    file.write_bytes(b"".join(sorted([*records, DEBIAN_RECORD + b"\1"])))

    with pytest.raises(CsrRefused, match="publicly known"):
        refuse_weak(rsa_key(DEBIAN_KEY), Blocklist.open(file))
    # As good a number as any: nothing but the list knows it.
    refuse_weak(rsa_key(DEBIAN_KEY), NO_LIST)


def test_modulus_of_close_primes_is_refused() -> None:
    first = rsa.generate_private_key(65537, 2048).private_numbers().p
    near = first + 2
    while pow(2, near - 1, near) != 1:
        near += 2

    with pytest.raises(CsrRefused, match="Fermat"):
        refuse_weak(rsa.RSAPublicNumbers(65537, first * near).public_key(), NO_LIST)


def test_modulus_with_a_small_factor_is_refused() -> None:
    modulus = rsa.generate_private_key(65537, 3072).public_key().public_numbers().n
    modulus -= modulus % (2 * 101) - 101

    with pytest.raises(CsrRefused, match="smallfactors"):
        refuse_weak(rsa.RSAPublicNumbers(65537, modulus).public_key(), NO_LIST)


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS.keys())
def test_listed_key_is_refused_and_others_are_not(key: DeviceKey, tmp_path: Path) -> None:
    records = [sha256(b"%d" % n).digest()[:15] + b"\1" for n in range(2000)]
    records.append(sha256(_number(key)).digest()[:15] + b"\2")
    file = tmp_path / "blocklist.dat"
    file.write_bytes(b"".join(sorted(records)))
    blocklist = Blocklist.open(file)

    with pytest.raises(CsrRefused, match="publicly known"):
        refuse_weak(key, blocklist)
    refuse_weak(ec.generate_private_key(ec.SECP256R1()).public_key(), blocklist)


def test_anything_but_a_list_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "page.html"
    file.write_bytes(b"<html>" * 9999)

    with pytest.raises(ValueError, match="is not a blocklist"):
        Blocklist.open(file)
