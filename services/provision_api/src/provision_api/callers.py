"""Who may call: holders of the admin key, and people with an access token."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from provision_api.domain import PLATFORM_ADMIN
from pulse_common.errors import Unauthenticated
from pulse_common.http import bearer_token
from pulse_common.identity import Principal

if TYPE_CHECKING:
    from starlette.requests import Request

    from pulse_common.identity import TokenVerifier

ADMIN_KEY_HEADER = "x-pulse-admin-key"


@dataclass(frozen=True, slots=True)
class Callers:
    admin_key: bytes
    verifier: TokenVerifier

    async def authenticate(self, request: Request) -> Principal:
        """Return the caller.

        Raises:
            Unauthenticated: neither a right admin key nor a valid access token came.
        """
        key = request.headers.get(ADMIN_KEY_HEADER)
        if key is not None:
            return self._administrator(key)
        token = bearer_token(request)
        if token is None:
            raise Unauthenticated("an access token is required")
        return await self.verifier.verify(token)

    def _administrator(self, key: str) -> Principal:
        # Bytes: compare_digest raises on a str that is not ASCII, and one accented letter would be a 500.
        if not hmac.compare_digest(key.encode("utf-8", "surrogateescape"), self.admin_key):
            raise Unauthenticated("the admin key is not right", reason="admin_key")
        return Principal(subject="admin-key", tenant=None, roles=frozenset({PLATFORM_ADMIN}))
