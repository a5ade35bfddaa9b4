"""The access token for the identity provider's admin API: one, kept until shortly before its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx2
import structlog
from pydantic import BaseModel, ValidationError

from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from pydantic import SecretStr

    from pulse_common.clock import Clock

log = structlog.get_logger(__name__)

EARLY = timedelta(seconds=10)
"""A token this close to its end is not used: the call may take a while."""
AWAY = "the identity provider is away"


class _Granted(BaseModel):
    access_token: str
    expires_in: int


@dataclass(slots=True, kw_only=True)
class AdminToken:
    """However many ask at once, one request is made."""

    http: httpx2.AsyncClient
    token_url: str
    client_id: str
    client_secret: SecretStr
    clock: Clock
    _value: str = field(default="", init=False, repr=False)
    _good_until: datetime | None = field(default=None, init=False)
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def get(self) -> str:
        """Return a token that is good for some seconds more.

        Raises:
            Unavailable: the identity provider gives none.
        """
        async with self._turn:
            if self._good_until is None or self.clock() >= self._good_until:
                granted = await self._ask()
                self._value = granted.access_token
                self._good_until = self.clock() + timedelta(seconds=granted.expires_in) - EARLY
            return self._value

    def forget(self, value: str) -> None:
        """Drop a token that was refused, unless somebody has a newer one already."""
        if value == self._value:
            self._good_until = None

    async def _ask(self) -> _Granted:
        # RFC 6749 section 2.3.1: both halves are form-encoded before they become Basic credentials.
        secret = quote(self.client_secret.get_secret_value(), safe="")
        try:
            response = await self.http.post(
                self.token_url,
                data={"grant_type": "client_credentials"},
                auth=(quote(self.client_id, safe=""), secret),
            )
        except httpx2.RequestError as error:
            raise Unavailable(AWAY) from error
        if not response.is_success:
            log.error("admin_token_refused", status=response.status_code)
            raise Unavailable(AWAY)
        try:
            return _Granted.model_validate_json(response.content)
        except ValidationError as error:
            raise Unavailable(AWAY) from error
