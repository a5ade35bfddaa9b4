"""Alive, ready, measured: the three endpoints that every service answers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import structlog
from starlette.responses import JSONResponse, PlainTextResponse, Response

from pulse_common import metrics
from pulse_common.http import Endpoint, Open

if TYPE_CHECKING:
    from starlette.requests import Request

log = structlog.get_logger(__name__)

Check = Callable[[], Awaitable[None]]
"""Returns when its dependency works, raises when it does not."""

CHECK_SECONDS = 2.0


class Readiness:
    """The dependencies of one service; also red while it drains."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._notes: dict[str, str] = {}
        self.draining = False

    def add(self, name: str, check: Check) -> None:
        self._checks[name] = check

    def note(self, name: str, text: str) -> None:
        """Say something about how this service runs, to whoever reads /readyz; nothing secret."""
        self._notes[name] = text

    @property
    def notes(self) -> dict[str, str]:
        return dict(self._notes)

    async def failures(self) -> list[str]:
        """Names of what does not work; why is in the log, never in the answer."""
        names = list(self._checks)
        found = await asyncio.gather(*(self._passes(name) for name in names))
        failed = [name for name, passed in zip(names, found, strict=True) if not passed]
        return [*failed, *(["draining"] if self.draining else [])]

    async def _passes(self, name: str) -> bool:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with it, it is not ready
            log.warning("readiness_check_failed", check=name, error=repr(error))
            return False
        return True


def endpoints(readiness: Readiness) -> list[Endpoint]:
    async def alive(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(_: Request) -> Response:
        failures = await readiness.failures()
        if failures:
            return JSONResponse({"status": "not ready", "failing": failures}, 503)
        return JSONResponse({"status": "ready", **readiness.notes})

    async def measured(_: Request) -> Response:
        return metrics.exposition()

    return [
        Open(method="GET", path="/healthz", why="probe", handler=alive),
        Open(method="GET", path="/readyz", why="probe; names only", handler=ready),
        Open(method="GET", path="/metrics", why="scraped inside; Caddy hides it", handler=measured),
    ]
