"""Keys that others can find out, or know already, get no certificate."""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

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
