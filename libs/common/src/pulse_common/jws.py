"""Read a signed compact token strictly and check its signature; what it claims is not judged here.

PyJWT does the cryptography.  The reading is ours because PyJWT's is lenient where an attacker would
look: it takes the last of two members of one name, follows ``crit`` extensions, and lets padding
through.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jwt.algorithms import get_default_algorithms

from pulse_common.errors import Unauthenticated

if TYPE_CHECKING:
    from pulse_common.jwk import VerificationKey

LONGEST_TOKEN = 8 * 1024
_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+", re.ASCII)
_KEY_ID = re.compile(r"[\x21-\x7e]{1,255}", re.ASCII)
# Keys that come with the token, keys to be fetched for it, extensions that change what was signed.
_REFUSED_MEMBERS = frozenset({"crit", "jwk", "jku", "x5u", "x5c", "b64", "zip", "enc"})
_TOKEN_TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
LOGOUT_TYPES = frozenset({"logout+jwt", "application/logout+jwt"})

_ALGORITHMS = get_default_algorithms()


class TokenRefused(Unauthenticated):
    """The token proves nothing; ``reason`` is for the audit log, the caller learns "not valid"."""

    reason: str

    def __init__(self, reason: str) -> None:
        super().__init__("the token is not valid", reason)


@dataclass(frozen=True, slots=True)
class CompactToken:
    """A token taken apart, not yet believed; ``kind`` is its header's ``typ`` in lower case."""

    key_id: str
    algorithm: str
    payload: bytes
    signed: bytes
    signature: bytes
    kind: str = "jwt"


def read_compact(token: str, kinds: frozenset[str] = _TOKEN_TYPES) -> CompactToken:
    """Take a token of these types apart; refused as ``too_long``, ``malformed`` or ``header``."""
    if len(token) > LONGEST_TOKEN:
        raise TokenRefused("too_long")
    if not _COMPACT.fullmatch(token):
        raise TokenRefused("malformed")
    signed, _, signature = token.rpartition(".")
    header, _, payload = signed.partition(".")
    members = read_object(decode(header))
    key_id, algorithm = members.get("kid"), members.get("alg")
    if not isinstance(key_id, str) or not _KEY_ID.fullmatch(key_id):
        raise TokenRefused("header")
    if not isinstance(algorithm, str) or not _REFUSED_MEMBERS.isdisjoint(members):
        raise TokenRefused("header")
    kind = members.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in kinds:
        raise TokenRefused("header")
    body, proof = decode(payload), decode(signature)
    return CompactToken(key_id, algorithm, body, signed.encode(), proof, kind.lower())


def check_signature(token: CompactToken, key: VerificationKey) -> None:
    """Hold the token against one key; refused as ``algorithm`` or ``signature``.

    The key says which algorithms it is for, the header only chooses among them.
    """
    if token.algorithm not in key.algorithms:
        raise TokenRefused("algorithm")
    if not _ALGORITHMS[token.algorithm].verify(token.signed, key.public_key, token.signature):
        raise TokenRefused("signature")


def decode(segment: str) -> bytes:
    """Decode base64url without padding, refusing every second spelling of the same bytes."""
    try:
        raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except (binascii.Error, ValueError) as error:
        raise TokenRefused("malformed") from error
    if base64.urlsafe_b64encode(raw).rstrip(b"=") != segment.encode():
        raise TokenRefused("malformed")
    return raw


def read_object(raw: bytes) -> dict[str, object]:
    """Read a JSON object in UTF-8, refusing repeated members, NaN and bottomless nesting."""
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise TokenRefused("malformed") from error
    if not isinstance(value, dict):
        raise TokenRefused("malformed")
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member is repeated")
    return members


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")
