from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

import pytest
from limits.errors import StorageError
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from pulse_common.errors import Conflict, Unauthenticated
from pulse_common.http import Endpoint, Guarded, Open, bearer_token, build_app
from pulse_common.identity import Principal, TenantId
from pulse_common.ratelimit import Limit, Limiter
from pulse_common.ratelimit_store import BoundedMemory

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import HTTPConnection, Request

START = datetime(2026, 1, 1, tzinfo=UTC)
PER_ADDRESS = Limit(name="door", amount=3, seconds=60, per="address", when_store_is_down="deny")
PER_USER = Limit(name="mine", amount=2, seconds=60, per="user", when_store_is_down="allow")
PER_TENANT = Limit(name="ours", amount=3, seconds=60, per="tenant", when_store_is_down="allow")


class Time:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class DeadStore(BoundedMemory):
    """A store that is away; counts how often it was asked."""

    def __init__(self, error: Exception, clock: Time) -> None:
        super().__init__(clock)
        self.error = error
        self.asked = 0

    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        self.asked += 1
        raise self.error


class StuckStore(BoundedMemory):
    async def acquire_entry(self, key: str, limit: int, expiry: int, amount: int = 1) -> bool:
        await asyncio.sleep(60)
        return True


async def greet(_: Request) -> Response:
    return PlainTextResponse("hello")


async def conflict(_: Request) -> Response:
    raise Conflict("the state forbids it")


async def work(_: Request, principal: Principal) -> Response:
    return PlainTextResponse(principal.subject)


async def authenticate(request: Request) -> Principal:
    subject, _, tenant = (bearer_token(request) or "").partition("@")
    if not tenant:
        raise Unauthenticated("no")
    return Principal(
        subject=subject, tenant=TenantId(UUID(int=int(tenant))), roles=frozenset({"customer"})
    )


def address_of(connection: HTTPConnection) -> str | None:
    return connection.headers.get("x-test-address", "192.0.2.1")


def app(store: BoundedMemory, clock: Time, *limits: Limit) -> Starlette:
    of_address = tuple(limit for limit in limits if limit.per == "address")
    endpoints: list[Endpoint] = [
        Open(method="GET", path="/open", why="test", handler=greet, limits=of_address),
        Open(method="GET", path="/conflict", why="test", handler=conflict, limits=of_address),
        Guarded(
            method="GET",
            path="/work",
            roles=frozenset({"customer"}),
            handler=work,
            limits=limits,
        ),
        Open(method="GET", path="/free", why="test", handler=greet),
    ]
    limiter = Limiter(store, address_of=address_of, clock=clock)
    return build_app(endpoints, authenticate, limiter=limiter)


@pytest.fixture
def time() -> Time:
    return Time()


def client(time: Time, *limits: Limit) -> TestClient:
    return TestClient(app(BoundedMemory(time), time, *limits))


def as_user(who: str) -> dict[str, str]:
    return {"authorization": f"Bearer {who}"}


def test_a_request_over_the_limit_is_a_429_problem_that_says_when_to_come_back(time: Time) -> None:
    browser = client(time, PER_ADDRESS)
    for _ in range(3):
        assert browser.get("/open").status_code == 200
        time.advance(10)

    refused = browser.get("/open")

    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json()["type"] == "urn:pulse:problem:too_many"
    assert refused.headers["retry-after"] == "30"
    assert refused.headers["ratelimit"] == '"door";r=0;t=30'
    assert refused.headers["ratelimit-policy"] == '"door";q=3;w=60'


def test_retry_after_is_when_the_next_request_passes(time: Time) -> None:
    browser = client(time, PER_ADDRESS)
    for _ in range(3):
        browser.get("/open")
        time.advance(7)
    wait = int(browser.get("/open").headers["retry-after"])

    time.advance(wait - 0.5)
    early = browser.get("/open")
    time.advance(1)
    on_time = browser.get("/open")

    assert (early.status_code, on_time.status_code) == (429, 200)


def test_the_window_moves_so_that_no_boundary_lets_twice_the_amount_through(time: Time) -> None:
    browser = client(time, PER_ADDRESS)
    answered: list[tuple[float, int]] = []

    for step in range(400):
        status = browser.get("/open").status_code
        answered.append((step * 1.5, status))
        time.advance(1.5)

    passed = [at for at, status in answered if status == 200]
    assert all(sum(at <= other < at + 60 for other in passed) <= 3 for at in passed)
    assert len(passed) >= 28  # ten minutes of three a minute


def test_answers_say_what_is_left(time: Time) -> None:
    browser = client(time, PER_ADDRESS)

    left = [browser.get(path).headers["ratelimit"] for path in ("/open", "/conflict")]

    assert left == ['"door";r=2;t=60', '"door";r=1;t=60']
    assert "ratelimit" not in browser.get("/free").headers


def test_endpoints_that_name_one_limit_share_it(time: Time) -> None:
    browser = client(time, PER_ADDRESS)
    for path in ("/open", "/conflict", "/work"):
        browser.get(path)

    assert browser.get("/open").status_code == 429


def test_failed_log_ins_count_and_are_refused_before_credentials_are_looked_at(time: Time) -> None:
    browser = client(time, PER_ADDRESS)

    statuses = [browser.get("/work").status_code for _ in range(4)]
    with_credentials = browser.get("/work", headers=as_user("bob@1"))

    assert statuses == [401, 401, 401, 429]
    assert with_credentials.status_code == 429


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("a-socket", "a-socket", True),
    ],
)
def test_one_customer_of_a_network_is_one_client(
    time: Time, one: str, other: str, *, shared: bool
) -> None:
    browser = client(time, PER_ADDRESS)
    for _ in range(3):
        browser.get("/open", headers={"x-test-address": one})

    status = browser.get("/open", headers={"x-test-address": other}).status_code

    assert status == (429 if shared else 200)


def test_users_are_counted_apart_and_tenants_together(time: Time) -> None:
    browser = client(time, PER_USER, PER_TENANT)

    def status(who: str) -> int:
        return browser.get("/work", headers=as_user(who)).status_code

    assert [status("ann@1"), status("ann@1"), status("ann@1")] == [200, 200, 429]
    assert [status("bob@1"), status("bob@1")] == [200, 429]  # the tenant's third, and one too many
    assert status("ann@2") == 429  # the same person, whatever tenant
    assert status("eve@2") == 200


def test_two_limits_are_both_told(time: Time) -> None:
    response = client(time, PER_ADDRESS, PER_USER).get("/work", headers=as_user("ann@1"))

    assert response.headers["ratelimit"] == '"door";r=2;t=60, "mine";r=1;t=60'
    assert response.headers["ratelimit-policy"] == '"door";q=3;w=60, "mine";q=2;w=60'


@pytest.mark.parametrize(
    "error", [StorageError(Exception("gone")), ConnectionError("gone"), TimeoutError()]
)
@pytest.mark.parametrize(("limit", "status"), [(PER_ADDRESS, 503), (PER_USER, 200)])
def test_without_a_store_each_limit_does_what_it_declares(
    time: Time, error: Exception, limit: Limit, status: int
) -> None:
    browser = TestClient(app(DeadStore(error, time), time, limit))

    response = browser.get("/work", headers=as_user("ann@1"))

    assert response.status_code == status
    assert "ratelimit" not in response.headers


def test_a_dead_store_is_asked_once_a_second_not_by_every_request(time: Time) -> None:
    store = DeadStore(ConnectionError("gone"), time)
    browser = TestClient(app(store, time, PER_ADDRESS))

    for _ in range(10):
        browser.get("/open")
    time.advance(1.1)
    browser.get("/open")

    assert store.asked == 2


def test_a_store_that_hangs_is_a_store_that_is_down(time: Time) -> None:
    browser = TestClient(app(StuckStore(time), time, PER_ADDRESS))

    assert browser.get("/open").status_code == 503


def test_limits_that_nothing_enforces_stop_the_service() -> None:
    endpoint = Open(method="GET", path="/", why="test", handler=greet, limits=(PER_ADDRESS,))

    with pytest.raises(ValueError, match="nothing enforces"):
        build_app([endpoint], authenticate)


def test_a_limit_per_user_on_an_open_endpoint_stops_the_service(time: Time) -> None:
    endpoint = Open(method="GET", path="/", why="test", handler=greet, limits=(PER_USER,))
    limiter = Limiter(BoundedMemory(time), address_of=address_of, clock=time)

    with pytest.raises(ValueError, match="per user"):
        build_app([endpoint], authenticate, limiter=limiter)


@pytest.mark.parametrize(
    ("name", "amount", "seconds"), [("", 1, 1), ('a"b', 1, 1), ("a", 0, 1), ("a", 1, 0)]
)
def test_a_limit_without_sense_is_refused(name: str, amount: int, seconds: int) -> None:
    with pytest.raises(ValueError, match="not a limit"):
        Limit(name=name, amount=amount, seconds=seconds, per="address", when_store_is_down="deny")
