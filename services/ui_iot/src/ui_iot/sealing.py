"""Values that leave this service and must come back unread and unchanged: AES-256-GCM, with a key id and a purpose.

The key id (the first four bytes of the key's SHA-256) says which key opens it, so that the previous one keeps working
while sessions live that it sealed.  The purpose is authenticated: what was sealed for one use opens for no other.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Sequence

_ID_BYTES = 4
_NONCE_BYTES = 12


class NotSealedHereError(Exception):
    """The value was changed, sealed for another purpose, or with a key that is gone."""


class Sealer:
    """Seals with the first key, opens with any."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a sealer needs a key")
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])

    def seal(self, value: bytes, purpose: str) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, value, purpose.encode())
        return self._current + nonce + sealed

    def open(self, sealed: bytes, purpose: str) -> bytes:
        """Return what was sealed.

        Raises:
            NotSealedHereError: for anything that was not.
        """
        cipher = self._ciphers.get(sealed[:_ID_BYTES])
        nonce = sealed[_ID_BYTES : _ID_BYTES + _NONCE_BYTES]
        if cipher is None or len(nonce) != _NONCE_BYTES:
            raise NotSealedHereError
        try:
            return cipher.decrypt(nonce, sealed[_ID_BYTES + _NONCE_BYTES :], purpose.encode())
        except InvalidTag:
            raise NotSealedHereError from None


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_ID_BYTES]
