"""Rate limits that endpoints declare beside their roles: how many requests, of whom, and what if nobody can count.

A limit is a moving window.  Counted in memory, N replicas let N times the amount through, and a restart forgets;
counted in a shared Redis or Valkey the amount holds for all replicas together, as far as their clocks agree.  Answers
carry ``RateLimit`` and ``RateLimit-Policy`` (draft-ietf-httpapi-ratelimit-headers-10), refusals ``Retry-After`` too.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import structlog
from limits import RateLimitItemPerSecond
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from pulse_common import metrics
from pulse_common.clock import Clock, system_clock
from pulse_common.errors import TooMany, Unavailable

if TYPE_CHECKING:
    from limits.aio.storage import MemoryStorage, RedisStorage
    from starlette.requests import HTTPConnection

    from pulse_common.identity import Principal

log = structlog.get_logger(__name__)

AddressOf = Callable[["HTTPConnection"], str | None]
"""Finds the client's address, through trusted proxies only (``pulse_common.client_address``)."""

ASK_SECONDS = 0.5
PAUSE_SECONDS = 1.0
_STANDINGS: Final = "pulse.rate_limits"
_NAME = re.compile(r"[a-z][a-z0-9-]{0,39}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """At most ``amount`` requests in any ``seconds``, counted apart for each address, tenant or user.

    Endpoints that name the same limit share it.  ``when_store_is_down`` decides what no count can: "deny" answers 503
    where the limit protects a secret from guessing, "allow" lets through where it only spares work.
    """

    name: str
    amount: int
    seconds: int
    per: Literal["address", "tenant", "user"]
    when_store_is_down: Literal["allow", "deny"]

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name) or self.amount < 1 or self.seconds < 1:
            raise ValueError(f"not a limit: {self}")


@dataclass(frozen=True, slots=True)
class Standing:
    """How one caller stands with one limit."""

    limit: Limit
    remaining: int
    reset_seconds: int
    refused: bool


class Limiter:
    """Counts requests and refuses those over a limit."""

    def __init__(
        self,
        store: MemoryStorage | RedisStorage,
        *,
        address_of: AddressOf,
        clock: Clock = system_clock,
    ) -> None:
        self._strategy = MovingWindowRateLimiter(store)
        self._address_of = address_of
        self._clock = clock
        self._paused_until = 0.0

    @property
    def address_of(self) -> AddressOf:
        return self._address_of

    async def count_address(self, connection: HTTPConnection, limits: Iterable[Limit]) -> None:
        """Count against the limits per address: before authentication, so that failed attempts count too.

        Raises:
            TooMany, Unavailable: over a limit; or a limit that denies when the store is down, and it is.
        """
        for limit in limits:
            if limit.per == "address":
                await self._count(connection, limit, _network(self._address_of(connection)))

    async def count_principal(
        self, connection: HTTPConnection, limits: Iterable[Limit], principal: Principal
    ) -> None:
        """Count against the limits per tenant and per user; raises as ``count_address``.

        Operators have no tenant that could be counted: for them the limits per user stand alone.
        """
        for limit in limits:
            if limit.per == "user":
                await self._count(connection, limit, principal.subject)
            elif limit.per == "tenant" and principal.tenant is not None:
                await self._count(connection, limit, str(principal.tenant))

    async def _count(self, connection: HTTPConnection, limit: Limit, whose: str) -> None:
        standing = await self._ask(limit, _bounded(whose))
        if standing is None:
            metrics.RATE_LIMITS.labels(limit.name, "uncounted").inc()
            if limit.when_store_is_down == "deny":
                raise Unavailable("requests cannot be counted at the moment; try again")
            return
        connection.scope.setdefault(_STANDINGS, []).append(standing)
        metrics.RATE_LIMITS.labels(limit.name, "refused" if standing.refused else "allowed").inc()
        if standing.refused:
            allowed = f"{limit.amount} requests in {limit.seconds} seconds"
            raise TooMany(f"the limit {limit.name} allows {allowed}")

    async def _ask(self, limit: Limit, key: str) -> Standing | None:
        """Ask the store, or return None while it is away: then only one request a second waits for it."""
        now = self._clock().timestamp()
        if now < self._paused_until:
            return None
        item = RateLimitItemPerSecond(limit.amount, limit.seconds, namespace=limit.name)
        try:
            async with asyncio.timeout(ASK_SECONDS):
                accepted = await self._strategy.hit(item, key)
                window = await self._strategy.get_window_stats(item, key)
        except (StorageError, OSError, TimeoutError) as error:
            self._paused_until = now + PAUSE_SECONDS
            log.warning("rate_limit_store_away", limit=limit.name, error=repr(error))
            return None
        reset = min(max(1, math.ceil(window.reset_time - now)), limit.seconds)
        return Standing(limit, max(0, window.remaining), reset, refused=not accepted)


def headers(connection: HTTPConnection) -> dict[str, str]:
    """Return what the answer says of the limits that this request was counted against."""
    standings: list[Standing] = connection.scope.get(_STANDINGS, [])
    if not standings:
        return {}
    found = {
        "ratelimit-policy": ", ".join(
            f'"{s.limit.name}";q={s.limit.amount};w={s.limit.seconds}' for s in standings
        ),
        "ratelimit": ", ".join(
            f'"{s.limit.name}";r={s.remaining};t={s.reset_seconds}' for s in standings
        ),
    }
    wait = [s.reset_seconds for s in standings if s.refused]
    return found | ({"retry-after": str(max(wait))} if wait else {})


def check_declared(limits: Iterable[Limit], *, has_principal: bool) -> None:
    """Refuse, at start-up, a limit per tenant or user where nobody is known.

    Raises:
        ValueError: naming the limit.
    """
    for limit in limits:
        if limit.per != "address" and not has_principal:
            raise ValueError(f"an open endpoint cannot count {limit.name} per {limit.per}")


def _network(address: str | None) -> str:
    """Return whose bucket an address is: of IPv6 its /64, since one customer has all of it."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), 64), strict=False))


def _bounded(whose: str) -> str:
    """Return a key of fixed length, whatever a caller's name holds."""
    return hashlib.blake2b(whose.encode(errors="surrogateescape"), digest_size=16).hexdigest()
