"""Standard Webhooks (https://www.standardwebhooks.com): symmetric signatures, and secrets that are sealed at rest."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

PREFIX = "whsec_"
_SECRET_BYTES = 32
_ID_BYTES = 4
_NONCE_BYTES = 12


class SecretLostError(Exception):
    """The key that sealed this secret is gone; the route needs another secret."""


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def sign(
    delivery_id: str, at: datetime, body: bytes, signing_secrets: Sequence[str]
) -> dict[str, str]:
    """Return the headers of one attempt: a v1 signature for each secret, so that rotation overlaps."""
    timestamp = str(int(at.timestamp()))
    signed = f"{delivery_id}.{timestamp}.".encode() + body
    signatures = [
        hmac.digest(base64.b64decode(secret.removeprefix(PREFIX)), signed, hashlib.sha256)
        for secret in signing_secrets
    ]
    return {
        "content-type": "application/json",
        "webhook-id": delivery_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{base64.b64encode(s).decode()}" for s in signatures),
    }


class Safe:
    """Seals secrets with the first key and opens them with any: AES-256-GCM, bound to their route."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._ciphers = {_key_id(key): AESGCM(key) for key in keys}
        self._current = _key_id(keys[0])

    def seal(self, secret: str, tenant: UUID, route: UUID) -> bytes:
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[self._current].encrypt(nonce, secret.encode(), _of(tenant, route))
        return self._current + nonce + sealed

    def open(self, sealed: bytes, tenant: UUID, route: UUID) -> str:
        """Return the secret.

        Raises:
            SecretLostError: it was sealed with a key that is gone, or for another route.
        """
        cipher = self._ciphers.get(sealed[:_ID_BYTES])
        if cipher is None:
            raise SecretLostError
        nonce = sealed[_ID_BYTES : _ID_BYTES + _NONCE_BYTES]
        try:
            opened = cipher.decrypt(nonce, sealed[_ID_BYTES + _NONCE_BYTES :], _of(tenant, route))
        except InvalidTag:
            raise SecretLostError from None
        return opened.decode()


def _of(tenant: UUID, route: UUID) -> bytes:
    return f"webhook secret {tenant} {route}".encode()


def _key_id(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()[:_ID_BYTES]
