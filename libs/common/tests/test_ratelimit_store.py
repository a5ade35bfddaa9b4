from __future__ import annotations

import shutil
import subprocess
import time
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from limits import RateLimitItemPerSecond
from limits.aio.strategies import MovingWindowRateLimiter
from pydantic import SecretStr, ValidationError
from starlette.requests import HTTPConnection
from tests.parts import free_port, wait_for_port

from pulse_common.errors import TooMany, Unavailable
from pulse_common.ratelimit import PAUSE_SECONDS, Limit, Limiter
from pulse_common.ratelimit_store import BoundedMemory, RateLimitSettings, open_store
from pulse_common.runtime import Runtime

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio
STRICT = Limit(name="strict", amount=5, seconds=60, per="address", when_store_is_down="deny")
LENIENT = Limit(name="lenient", amount=5, seconds=60, per="address", when_store_is_down="allow")
TWICE = RateLimitItemPerSecond(2, 60)


class Time:
    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


class Server:
    """A real server with nothing on disk, which a test may stop and start."""

    def __init__(self, program: str) -> None:
        self.program = program
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        where = ["--port", str(self.port), "--bind", "127.0.0.1"]
        self.process = subprocess.Popen(
            [self.program, *where, "--save", "", "--requirepass", "a-test-password"],
            stdout=subprocess.DEVNULL,
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


def request(address: str = "192.0.2.1") -> HTTPConnection:
    return HTTPConnection({"type": "http", "headers": [], "client": (address, 1)})


def peer(connection: HTTPConnection) -> str | None:
    return connection.client.host if connection.client else None


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    async with AsyncExitStack() as stack:
        yield Runtime(stack)


@pytest.fixture(params=["redis-server", "valkey-server"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Start the one and the other; Debian 12 has Redis alone, Debian 13 both."""
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed: it was NOT asked")
    found = Server(program)
    found.start()
    yield found
    found.stop()


def limiter(runtime: Runtime, server: Server, scheme: str = "redis") -> Limiter:
    url = SecretStr(f"{scheme}://:a-test-password@127.0.0.1:{server.port}/0")
    return Limiter(open_store(runtime, url), address_of=peer)


async def admitted(limits: Limiter, limit: Limit, attempts: int) -> int:
    passed = 0
    for _ in range(attempts):
        try:
            await limits.count_address(request(), [limit])
        except TooMany:
            continue
        passed += 1
    return passed


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["redis", "valkey"])
async def test_replicas_share_one_amount_in_a_real_store(
    runtime: Runtime, server: Server, scheme: str
) -> None:
    replicas = [limiter(runtime, server, scheme) for _ in range(3)]

    passed = [await admitted(replica, STRICT, 4) for replica in replicas]

    assert sum(passed) == STRICT.amount


async def test_in_memory_each_replica_lets_the_amount_through() -> None:
    replicas = [Limiter(BoundedMemory(), address_of=peer) for _ in range(3)]

    passed = [await admitted(replica, STRICT, 10) for replica in replicas]

    assert sum(passed) == 3 * STRICT.amount


@pytest.mark.slow
async def test_a_real_store_that_dies_and_comes_back(runtime: Runtime, server: Server) -> None:
    limits = limiter(runtime, server)
    assert await admitted(limits, STRICT, 1) == 1
    server.stop()

    with pytest.raises(Unavailable):
        await limits.count_address(request(), [STRICT])
    assert await admitted(limits, LENIENT, 20) == 20

    server.start()
    time.sleep(PAUSE_SECONDS)  # noqa: ASYNC251 -- nothing else runs
    assert await admitted(limits, STRICT, 10) == STRICT.amount  # a store of memory forgot the one


async def test_an_absent_store_costs_one_request_less_than_a_second(runtime: Runtime) -> None:
    url = SecretStr("redis://192.0.2.1:6379")  # a network that nobody has (RFC 5737)
    limits = Limiter(open_store(runtime, url), address_of=peer)
    started = time.monotonic()

    passed = await admitted(limits, LENIENT, 100)

    assert passed == 100
    assert time.monotonic() - started < 1


@pytest.mark.slow
async def test_keys_in_a_real_store_end_with_their_window_and_hold_no_address(
    runtime: Runtime, server: Server
) -> None:
    brief = Limit(name="brief", amount=5, seconds=1, per="address", when_store_is_down="deny")
    url = SecretStr(f"redis://:a-test-password@127.0.0.1:{server.port}")
    store = open_store(runtime, url)
    limits = Limiter(store, address_of=peer)
    await admitted(limits, brief, 1)

    keys = await store.bridge.get_connection().keys("*")  # type: ignore[union-attr]
    time.sleep(1.2)  # noqa: ASYNC251 -- the server's clock
    later = await store.bridge.get_connection().keys("*")  # type: ignore[union-attr]

    assert len(keys) == 1
    assert b"192.0.2.1" not in keys[0]
    assert later == []


@pytest.mark.parametrize(
    "url", ["redis", "redis://", "memcached://x:1", "memory://x", "http://x", "async+redis://x:1"]
)
async def test_a_store_that_nobody_knows_stops_the_service_without_showing_its_password(
    url: str,
) -> None:
    with pytest.raises(ValidationError) as caught:
        RateLimitSettings(rate_limit_store_url=SecretStr(url))

    assert "memory://" in str(caught.value)


async def test_memory_is_bounded_whoever_comes() -> None:
    store = BoundedMemory(most_hits=1000)
    strategy = MovingWindowRateLimiter(store)

    for number in range(10_000):
        await strategy.hit(TWICE, str(number))

    assert store.held == 1000


async def test_a_client_that_keeps_coming_is_not_forgotten_for_strangers() -> None:
    store = BoundedMemory(most_hits=100)
    strategy = MovingWindowRateLimiter(store)
    for _ in range(2):
        await strategy.hit(TWICE, "persistent")

    passed = 0
    for number in range(5000):
        await strategy.hit(TWICE, str(number))
        if number % 50 == 0:
            passed += await strategy.hit(TWICE, "persistent")

    assert passed == 0


async def test_memory_forgets_who_has_gone() -> None:
    clock = Time()
    store = BoundedMemory(clock)
    strategy = MovingWindowRateLimiter(store)
    for number in range(1000):
        await strategy.hit(TWICE, str(number))

    clock.now += timedelta(seconds=61)
    for _ in range(600):
        await strategy.hit(TWICE, "one")

    assert store.held == 2
