"""Hold the identity provider's public keys: fetched by one caller at a time, kept when it is away.

* A key set is refreshed in the background once it is ``FRESH_SECONDS`` old; requests go on with the
  old one.
* An unknown key id fetches at once, but no more than one fetch starts per ``COOLDOWN_SECONDS``,
  whoever asks and whether or not it succeeded: otherwise anyone could make us hammer the provider
  with invented ids.
* A failed fetch forgets nothing.  Keys serve for ``USABLE_SECONDS`` after the last successful one,
  then no more, because a key that was withdrawn meanwhile must not verify for ever.
* A successful fetch replaces the whole set, so a withdrawn key stops at once.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Protocol

import httpx2
import structlog

from pulse_common.errors import Unavailable
from pulse_common.jwk import VerificationKey, read_key_set
from pulse_common.jws import TokenRefused, read_object

if TYPE_CHECKING:
    from collections.abc import Callable

FRESH_SECONDS = 300
COOLDOWN_SECONDS = 10
USABLE_SECONDS = 24 * 3600
FETCH_TIMEOUT_SECONDS = 5
LONGEST_KEY_SET = 256 * 1024

log = structlog.get_logger(__name__)


class KeySource(Protocol):
    async def find(self, key_id: str) -> VerificationKey | None:
        """Return the key of that id or None; raise ``Unavailable`` when no keys are at hand."""
        ...


class Jwks:
    """The keys published under one URL.  Close it when the service stops."""

    def __init__(
        self,
        *,
        oidc_internal_url: str,
        http: httpx2.AsyncClient,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._url = f"{oidc_internal_url.rstrip('/')}/protocol/openid-connect/certs"
        self._http = http
        self._monotonic = monotonic
        self._keys: dict[str, VerificationKey] = {}
        self._fetched_at: float | None = None
        self._attempted_at: float | None = None
        self._refresh: asyncio.Task[None] | None = None

    async def find(self, key_id: str) -> VerificationKey | None:
        if not self.usable():
            await self._refresh_unless_cooling()
            if not self.usable():
                raise Unavailable("the identity provider's keys are not at hand")
        key = self._keys.get(key_id)
        if key is None:
            await self._refresh_unless_cooling()
            return self._keys.get(key_id)
        if self._age() > FRESH_SECONDS:
            self._start_refresh()
        return key

    async def warm(self) -> None:
        """Fetch now, so that the first request does not wait; a failure is only logged."""
        await self._refresh_unless_cooling()

    def usable(self) -> bool:
        """Tell whether tokens can be verified at all: what a readiness probe asks."""
        return self._age() <= USABLE_SECONDS

    async def close(self) -> None:
        if self._refresh is not None:
            self._refresh.cancel()
            await asyncio.gather(self._refresh, return_exceptions=True)

    def _age(self) -> float:
        return float("inf") if self._fetched_at is None else self._monotonic() - self._fetched_at

    def _start_refresh(self) -> asyncio.Task[None] | None:
        """Return the fetch under way, or a new one, or None during the cool-down."""
        if self._refresh is not None and not self._refresh.done():
            return self._refresh
        now = self._monotonic()
        if self._attempted_at is not None and now - self._attempted_at < COOLDOWN_SECONDS:
            return None
        self._attempted_at = now
        self._refresh = asyncio.create_task(self._fetch(), name="jwks-refresh")
        return self._refresh

    async def _refresh_unless_cooling(self) -> None:
        refresh = self._start_refresh()
        if refresh is not None:
            # Shielded: a caller that goes away must not cancel the fetch that others wait for.
            await asyncio.shield(refresh)

    async def _fetch(self) -> None:
        try:
            async with asyncio.timeout(FETCH_TIMEOUT_SECONDS):
                keys = read_key_set(read_object(await self._download()))
        except (httpx2.HTTPError, TokenRefused, TimeoutError, OSError) as error:
            log.warning("jwks_refresh_failed", url=self._url, error=type(error).__name__)
            return
        if not keys:
            log.warning("jwks_refresh_failed", url=self._url, error="no usable key")
            return
        self._keys, self._fetched_at = keys, self._monotonic()
        log.info("jwks_refreshed", url=self._url, key_ids=sorted(keys))

    async def _download(self) -> bytes:
        async with self._http.stream("GET", self._url, follow_redirects=False) as response:
            if response.status_code != httpx2.codes.OK:
                raise httpx2.HTTPError(f"the key endpoint answered {response.status_code}")
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LONGEST_KEY_SET:
                    raise httpx2.HTTPError("the key set is too large")
            return bytes(body)
