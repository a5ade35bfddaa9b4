"""One HTTP call of a customer's address: bounded in time and in what is read of the answer."""

from __future__ import annotations

import asyncio
import re
import ssl
import time
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Literal

import httpcore2

from delivery_worker.connections import Connections
from delivery_worker.sockets import DnsResolver, GuardedNetwork
from delivery_worker.targets import Rules, TargetRefused, read_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from delivery_worker.sockets import Resolver

Stage = Literal["before", "during", "after"]
"""How far a call came: nothing was sent, no whole answer came, an answer came."""

MOST_SHOWN_BYTES = 1024
MOST_READ_BYTES = 16 * 1024
_GOOD = range(200, 300)
_SECONDS = re.compile("[0-9]{1,9}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What came of a call; ``error`` is None when the answer was good.  ``body`` is at most 1 KiB."""

    stage: Stage
    latency_ms: int
    status: int | None = None
    error: str | None = None
    body: str = ""
    asked_to_wait: float | None = None
    """Seconds that the endpoint named in Retry-After; whoever uses it bounds it."""

    @property
    def delivered(self) -> bool:
        return self.error is None

    @property
    def is_gone(self) -> bool:
        """The endpoint wants nothing more, ever (Standard Webhooks: stop sending)."""
        return self.status == HTTPStatus.GONE


class Caller:
    """Calls what ``rules`` allow; redirects are not followed."""

    def __init__(
        self, rules: Rules, resolver: Resolver | None = None, trust: ssl.SSLContext | None = None
    ) -> None:
        self._rules = rules
        self._connections = Connections(
            GuardedNetwork(rules, resolver or DnsResolver()), trust or ssl.create_default_context()
        )

    async def close(self) -> None:
        await self._connections.close()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes, *, seconds: float
    ) -> Attempt:
        """POST ``body``; everything that can happen is an ``Attempt``."""
        began = time.monotonic()
        stage: Stage = "before"
        status: int | None = None
        shown = ""
        wait: float | None = None
        error: str | None
        try:
            async with asyncio.timeout(seconds):
                status, read, wait = await self._post(url, headers, body)
            stage = "after"
            shown = _shown(read)
            error = None if status in _GOOD else f"the endpoint answered {status}"
        except TargetRefused as refused:
            error = str(refused)
        except (httpcore2.ConnectError, httpcore2.ConnectTimeout):
            error = "no connection, or no trusted TLS, could be made"
        except TimeoutError:
            stage, error = "during", f"no whole answer within {seconds:g} s"
        except (
            httpcore2.NetworkError,
            httpcore2.ProtocolError,
            httpcore2.TimeoutException,
            OSError,
        ):
            stage, error = "during", "the connection broke, or the answer was not HTTP"
        return Attempt(
            stage=stage,
            latency_ms=round((time.monotonic() - began) * 1000),
            status=status,
            error=error,
            body=shown,
            asked_to_wait=wait,
        )

    async def _post(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes, float | None]:
        target = read_target(url, self._rules)
        whole = httpcore2.URL(
            scheme=target.scheme.encode(),
            host=target.host.encode(),
            port=target.port,
            target=target.path.encode(),
        )
        given: list[tuple[bytes | str, bytes | str]] = list(
            {
                "host": target.authority,
                "content-length": str(len(body)),
                "accept-encoding": "identity",
                "user-agent": "Pulse-Webhooks/1",
                **headers,
            }.items()
        )
        async with (
            self._connections.to(target) as pool,
            pool.stream("POST", whole, headers=given, content=body) as response,
        ):
            read = bytearray()
            async for part in response.aiter_stream():
                read += part
                # Leaving early closes the connection: an endless answer ends here.
                if len(read) >= MOST_READ_BYTES:
                    break
            wait = _asked_to_wait(response.headers)
            return response.status, bytes(read[:MOST_SHOWN_BYTES]), wait


def _asked_to_wait(headers: Sequence[tuple[bytes, bytes]]) -> float | None:
    """Return what Retry-After says (RFC 9110, 10.2.3), in seconds from now; None when nothing can be read."""
    said = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    text = said.decode("latin-1").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        until = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    known = until if until.tzinfo else until.replace(tzinfo=UTC)
    return max(0.0, known.timestamp() - time.time())


def _shown(read: bytes) -> str:
    """Return what a person may see: at most 1 KiB when written again, and nothing that the database refuses."""
    text = read.decode(errors="replace").replace("\x00", "�")
    return text.encode()[:MOST_SHOWN_BYTES].decode(errors="ignore")
