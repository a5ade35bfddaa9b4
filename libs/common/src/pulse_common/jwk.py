"""Turn a published JSON Web Key into a key that may verify, or leave it out.

A set may hold keys that are none of our business (Keycloak publishes an encryption key beside the
signing one), so an unsuitable key is dropped, not an error.  A key id that appears twice is dropped
with both its keys: which of them was meant is a guess.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt import PyJWK
from jwt.exceptions import PyJWTError

if TYPE_CHECKING:
    from collections.abc import Mapping

SHORTEST_RSA_BITS = 2048
LONGEST_RSA_BITS = 8192  # beyond it one verification costs more than a request should
SMALLEST_RSA_EXPONENT = 65537
MOST_KEYS = 64

_RSA_ALGORITHMS = frozenset({"RS256", "PS256"})
_PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
# fmt: off
_ROCA_PRIMES = (3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83,
                89, 97, 101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167)
# fmt: on
_ROCA_RESIDUES = {
    prime: frozenset(pow(65537, power, prime) for power in range(prime)) for prime in _ROCA_PRIMES
}

PublicKey = RSAPublicKey | EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class VerificationKey:
    key_id: str
    public_key: PublicKey
    algorithms: frozenset[str]


def read_key_set(document: Mapping[str, object]) -> dict[str, VerificationKey]:
    """Read the usable keys of a JWK set by key id; an empty answer means that none is usable."""
    published = document.get("keys")
    if not isinstance(published, list) or len(published) > MOST_KEYS:
        return {}
    entries = [entry for entry in published if isinstance(entry, dict)]
    times = Counter(entry["kid"] for entry in entries if isinstance(entry.get("kid"), str))
    keys = [key for entry in entries if (key := read_key(entry)) is not None]
    return {key.key_id: key for key in keys if times[key.key_id] == 1}


def read_key(entry: Mapping[str, object]) -> VerificationKey | None:
    """Read one key; None when it may not, or should not, verify a token."""
    key_id = entry.get("kid")
    if not isinstance(key_id, str) or not _may_verify(entry):
        return None
    allowed = _algorithms_of(entry)
    if not allowed:
        return None
    try:
        public_key = PyJWK(dict(entry), min(allowed)).key
    except (PyJWTError, ValueError, TypeError):
        return None
    if not isinstance(public_key, PublicKey) or _is_weak(public_key):
        return None
    return VerificationKey(key_id, public_key, allowed)


def _may_verify(entry: Mapping[str, object]) -> bool:
    if not _PRIVATE_MEMBERS.isdisjoint(entry):
        return False  # a private key that the whole world has read
    operations = entry.get("key_ops", ["verify"])
    return (
        entry.get("use", "sig") == "sig" and isinstance(operations, list) and "verify" in operations
    )


def _algorithms_of(entry: Mapping[str, object]) -> frozenset[str]:
    """Say which algorithms the key is for: those of its type, narrowed by its own ``alg``."""
    match entry.get("kty"), entry.get("crv"):
        case "RSA", None:
            possible = _RSA_ALGORITHMS
        case "EC", "P-256":
            possible = frozenset({"ES256"})
        case "OKP", "Ed25519":
            possible = frozenset({"EdDSA"})
        case _:
            return frozenset()
    own = entry.get("alg")
    return possible if own is None else frozenset(name for name in possible if name == own)


def _is_weak(key: PublicKey) -> bool:
    if not isinstance(key, RSAPublicKey):
        return False
    if not SHORTEST_RSA_BITS <= key.key_size <= LONGEST_RSA_BITS:
        return True
    numbers = key.public_numbers()
    return numbers.e < SMALLEST_RSA_EXPONENT or _is_roca(numbers.n)


def _is_roca(modulus: int) -> bool:
    """Recognise keys of CVE-2017-15361: powers of 65537 modulo every small prime."""
    return all(modulus % prime in residues for prime, residues in _ROCA_RESIDUES.items())
