"""Rules of enrolment: what a token looks like, how long it lives, what a device may be called.  No I/O."""

from __future__ import annotations

import base64
import binascii
import hashlib
import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from pulse_common.errors import Malformed, Unauthenticated
from pulse_common.identity import TenantId

PLATFORM_ADMIN = "platform-admin"
"""The role of whoever holds the admin key."""

EST_LABEL = "device"
"""The profile that enrolment tokens are for."""

TOKEN_PREFIX = "pet_"  # noqa: S105 -- "Pulse enrolment token", for secret scanners to find
SECRET_BYTES = 32
LONGEST_NAME = 100

DEFAULT_LIFETIME = timedelta(hours=24)
SHORTEST_LIFETIME = timedelta(minutes=1)
LONGEST_LIFETIME = timedelta(days=7)

_NOT_VALID = "the enrolment token is not valid: unknown, used or expired"


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    """``pet_`` and base64url of the tenant's id and 256 random bits.

    The tenant travels in it so that the token is looked up as that tenant, under row-level security.  It is not a
    secret, and a wrong one finds nothing.
    """

    tenant: TenantId
    text: str

    @property
    def digest(self) -> bytes:
        """SHA-256: 256 random bits need no slow hash."""
        return hashlib.sha256(self.text.encode()).digest()


def make_token(tenant: TenantId, random: bytes, prefix: str = TOKEN_PREFIX) -> EnrolmentToken:
    if len(random) != SECRET_BYTES:
        raise ValueError(f"a token needs {SECRET_BYTES} random bytes")
    body = base64.urlsafe_b64encode(tenant.bytes + random).decode()
    return EnrolmentToken(tenant, prefix + body)


def read_token(text: str, prefix: str = TOKEN_PREFIX) -> EnrolmentToken:
    """Read a token's own form.

    Raises:
        Unauthenticated: with the same words as for an unknown token.
    """
    if not text.startswith(prefix) or not text.isascii():
        raise not_valid()
    try:
        body = base64.b64decode(text.removeprefix(prefix), altchars=b"-_", validate=True)
    except binascii.Error:
        raise not_valid() from None
    if len(body) != len(UUID(int=0).bytes) + SECRET_BYTES:
        raise not_valid()
    token = make_token(TenantId(UUID(bytes=body[:16])), body[16:], prefix)
    if token.text != text:  # one token has one spelling
        raise not_valid()
    return token


def not_valid() -> Unauthenticated:
    """One answer for every reason: whoever holds a dead token learns nothing from it."""
    return Unauthenticated(_NOT_VALID)


def token_expiry(now: datetime, seconds: int | None) -> datetime:
    """Return when a token made now ends.

    Raises:
        Malformed: a life shorter than a minute or longer than a week.
    """
    lifetime = DEFAULT_LIFETIME if seconds is None else timedelta(seconds=seconds)
    if not SHORTEST_LIFETIME <= lifetime <= LONGEST_LIFETIME:
        shortest, longest = SHORTEST_LIFETIME.total_seconds(), LONGEST_LIFETIME.total_seconds()
        raise Malformed(f"expires_in_seconds must be from {shortest:.0f} to {longest:.0f}")
    return now + lifetime


def checked_name(text: str) -> str:
    """Return a name for people: trimmed, NFC, 1 to 100 characters, nothing invisible.

    Raises:
        Malformed: saying which rule was broken.
    """
    name = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(name) <= LONGEST_NAME:
        raise Malformed(f"name must have 1 to {LONGEST_NAME} characters")
    if any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"} for letter in name):
        raise Malformed("name must not hold control or invisible characters")
    return name
