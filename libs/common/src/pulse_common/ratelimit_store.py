"""Where rate limits count: in this process, within a bound, or in a Redis or Valkey that replicas share."""

from __future__ import annotations

from bisect import bisect_left
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from limits.aio.storage import MemoryStorage, RedisStorage
from pydantic import AfterValidator, BaseModel, SecretStr
from redis.asyncio import BlockingConnectionPool
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pulse_common.clock import Clock, system_clock

if TYPE_CHECKING:
    from pulse_common.runtime import Runtime

MOST_HITS = 100_000
"""How many hits the memory store holds, some 40 MB when each is another client's."""

STORE_SECONDS = 0.25
MOST_CONNECTIONS = 32
MEMORY = "memory://"
# Valkey speaks Redis' protocol, so that one client serves both.
_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss"}


def _known(url: SecretStr) -> SecretStr:
    text = url.get_secret_value()
    scheme, separator, rest = text.partition("://")
    if text != MEMORY and (scheme not in _SCHEMES or not separator or not rest):
        raise ValueError(f"must be {MEMORY} or {', '.join(f'{name}://…' for name in _SCHEMES)}")
    return url


StoreUrl = Annotated[SecretStr, AfterValidator(_known)]
"""``memory://``, or a Redis or Valkey by URI; a secret, since a password may stand in it."""


class RateLimitSettings(BaseModel):
    """Settings that a service with rate limits has besides its own.

    With ``memory://`` each replica counts for itself: N replicas let N times the amount through.
    """

    rate_limit_store_url: StoreUrl = SecretStr(MEMORY)


@dataclass(slots=True)
class _Bucket:
    hits: list[float] = field(default_factory=list)  # oldest first
    idle_at: float = 0.0


class BoundedMemory(MemoryStorage):
    """The moving window of ``limits``, in memory that a flood of clients cannot fill.

    The library's own memory storage keeps every key until its window ends, and each request starts a sweep over all of
    them.  This one looks at two others per request, and past ``most_hits`` forgets who has been quiet longest: to have
    itself forgotten, a client must come from as many addresses as there are places.
    """

    def __init__(self, clock: Clock = system_clock, most_hits: int = MOST_HITS) -> None:
        super().__init__()
        self._clock = clock
        self._most_hits = most_hits
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()
        self._held = 0

    @property
    def held(self) -> int:
        """How many hits are remembered."""
        return self._held

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        now = self._clock().timestamp()
        self._forget_the_gone(now)
        bucket = self._buckets.setdefault(key, _Bucket())
        self._buckets.move_to_end(key)
        old = bisect_left(bucket.hits, now - expiry)
        del bucket.hits[:old]
        self._held -= old
        if len(bucket.hits) + amount > limit:
            return False
        bucket.hits += [now] * amount
        bucket.idle_at = now + expiry
        self._held += amount
        while self._held > self._most_hits and len(self._buckets) > 1:
            self._held -= len(self._buckets.popitem(last=False)[1].hits)
        return True

    async def get_moving_window(
        self,
        key: str,
        limit: int,  # noqa: ARG002 -- the library's signature
        expiry: int,
    ) -> tuple[float, int]:
        now = self._clock().timestamp()
        hits = self._buckets.get(key, _Bucket()).hits
        oldest = bisect_left(hits, now - expiry)
        return (hits[oldest], len(hits) - oldest) if oldest < len(hits) else (now, 0)

    def _forget_the_gone(self, now: float) -> None:
        for key in [key for key, _ in zip(self._buckets, range(2), strict=False)]:
            if self._buckets[key].idle_at < now:
                self._held -= len(self._buckets.pop(key).hits)


def open_store(runtime: Runtime, url: SecretStr) -> MemoryStorage | RedisStorage:
    """Make the store that ``url`` names; closed when the service stops.

    Nothing connects yet, and readiness does not ask it: what happens when it is away is each limit's own declaration.
    """
    if url.get_secret_value() == MEMORY:
        return BoundedMemory()
    scheme, _, rest = url.get_secret_value().partition("://")
    pool = BlockingConnectionPool.from_url(
        f"{_SCHEMES[scheme]}://{rest}",
        max_connections=MOST_CONNECTIONS,
        timeout=STORE_SECONDS,
        socket_timeout=STORE_SECONDS,
        socket_connect_timeout=STORE_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    runtime.stack.push_async_callback(pool.aclose)
    options: dict[str, Any] = {"connection_pool": pool}
    return RedisStorage(
        "async+redis://",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix="pulse:limits",
        **options,
    )
