"""Connections that are kept for a while, each destination's apart.

One pool for all looks at every connection that it holds, idle or hanging, for every call to any of them.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpcore2

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncIterator

    from delivery_worker.sockets import GuardedNetwork
    from delivery_worker.targets import Target

KEEP_SECONDS = 20.0
MOST_KEPT = 500
Place = tuple[str, str, int]


@dataclass(slots=True)
class _Kept:
    pool: httpcore2.AsyncConnectionPool
    used: int = 0
    left_at: float = 0.0


class Connections:
    """A pool for each scheme, host and port; what nobody used for 20 s is closed when others are called."""

    def __init__(self, network: GuardedNetwork, trust: ssl.SSLContext) -> None:
        self._network = network
        self._trust = trust
        self._kept: OrderedDict[Place, _Kept] = OrderedDict()

    @asynccontextmanager
    async def to(self, target: Target) -> AsyncIterator[httpcore2.AsyncConnectionPool]:
        place = (target.scheme, target.host, target.port)
        kept = self._kept.get(place)
        if kept is None:
            kept = self._kept[place] = _Kept(self._open())
        kept.used += 1
        try:
            yield kept.pool
        finally:
            kept.used -= 1
            kept.left_at = time.monotonic()
            self._kept.move_to_end(place)
            await self._forget()

    async def close(self) -> None:
        while self._kept:
            _, kept = self._kept.popitem()
            await kept.pool.aclose()

    async def _forget(self) -> None:
        """Close what was left longest ago; pools that are in use are at the end, or are passed over."""
        now = time.monotonic()
        over: list[Place] = []
        for place, kept in self._kept.items():
            if now - kept.left_at < KEEP_SECONDS and len(self._kept) - len(over) <= MOST_KEPT:
                break
            if not kept.used:
                over.append(place)
        # Taken out before anybody waits, so that nobody is given a pool that closes.
        for pool in [self._kept.pop(place).pool for place in over]:
            await pool.aclose()

    def _open(self) -> httpcore2.AsyncConnectionPool:
        return httpcore2.AsyncConnectionPool(
            ssl_context=self._trust,
            max_connections=None,
            keepalive_expiry=KEEP_SECONDS,
            network_backend=self._network,
        )
