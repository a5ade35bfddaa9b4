"""Hashes passwords with scrypt, and spends the same time on people who do not exist."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from dataclasses import dataclass

# RFC 7914's setting for interactive log-in, some 50 ms. Demo passwords are random, one a checkout;
# people's own would want five lanes (OWASP's password storage cheat sheet).
_COST, _BLOCK, _LANES = 2**14, 8, 1
_SALT_BYTES = 16
LONGEST_PASSWORD = 256


@dataclass(frozen=True, slots=True)
class PasswordHash:
    salt: bytes
    digest: bytes

    def __repr__(self) -> str:
        return "PasswordHash([secret])"


def hash_password(password: str) -> PasswordHash:
    salt = secrets.token_bytes(_SALT_BYTES)
    return PasswordHash(salt, _derive(password, salt))


NOBODY = PasswordHash(secrets.token_bytes(_SALT_BYTES), secrets.token_bytes(32))
"""Checked for unknown names, so that the answer's time does not tell them from known ones."""


async def matches(password: str, known: PasswordHash | None) -> bool:
    """Check a password in a thread; nobody's password is always wrong."""
    against = known or NOBODY
    right = await asyncio.to_thread(_matches, password, against)
    return right and known is not None


def _matches(password: str, known: PasswordHash) -> bool:
    if len(password) > LONGEST_PASSWORD:
        return False
    return hmac.compare_digest(_derive(password, known.salt), known.digest)


def _derive(password: str, salt: bytes) -> bytes:
    encoded = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(encoded, salt=salt, n=_COST, r=_BLOCK, p=_LANES, dklen=32)
