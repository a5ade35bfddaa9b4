"""Asks mqtt_authz over HTTP, with the limits and the repeats that EMQX has."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx2
import structlog

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

log = structlog.get_logger(__name__)
TIMEOUT_SECONDS = 5.0
POOL_SIZE = 16
POOL_WAIT_SECONDS = 30.0  # a thousand devices that come back together take turns
CALLS = 3  # EMQX repeats the POST when the server closes without an answer


@dataclass(frozen=True)
class Answer:
    status: int
    content_type: str
    body: bytes

    def parse(self) -> dict[str, object] | None:
        """Read the body as a JSON object; None for anything else."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Callout:
    def __init__(self, *, secret: str) -> None:
        self.client = httpx2.AsyncClient(
            headers={"authorization": f"Bearer {secret}", "content-type": "application/json"},
            timeout=httpx2.Timeout(TIMEOUT_SECONDS, pool=POOL_WAIT_SECONDS),
            limits=httpx2.Limits(max_connections=POOL_SIZE, max_keepalive_connections=POOL_SIZE),
            follow_redirects=False,
            trust_env=False,  # a proxy of the developer's shell must not see the secret
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.client.aclose()

    async def ask(self, url: str, body: Mapping[str, str]) -> Answer | None:
        """Return the answer, or None when there was none: which the caller must take as a no."""
        for _ in range(CALLS):
            try:
                response = await self.client.post(url, content=json.dumps(body))
            except (httpx2.RemoteProtocolError, httpx2.ReadError):
                continue
            except httpx2.HTTPError as error:
                log.warning("authorization_server_failed", url=url, error=repr(error))
                return None
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            return Answer(response.status_code, kind, response.content)
        log.warning("authorization_server_closed", url=url, calls=CALLS)
        return None
