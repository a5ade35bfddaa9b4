from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
import structlog
from starlette.requests import HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response
from starlette.testclient import TestClient

from pulse_common import auth_audit
from pulse_common.auth_audit import AuthAudit
from pulse_common.errors import Unauthenticated
from pulse_common.http import Guarded, bearer_token, build_app
from pulse_common.ids import PLATFORM_TENANT
from pulse_common.jws import TokenRefused
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

    from pulse_common.identity import Principal
    from pulse_common.tenancy import ServiceRole, Tx

pytestmark = pytest.mark.anyio
FLOOD = 10_000


def address_of(connection: HTTPConnection) -> str | None:
    return connection.headers.get("x-test-address", "192.0.2.1")


def request(address: str = "192.0.2.1") -> Request:
    headers = [(b"x-test-address", address.encode()), (b"user-agent", b"curl/8")]
    return Request({"type": "http", "headers": headers, "method": "GET", "path": "/"})


class DeadDatabase(AbstractAsyncContextManager["Tx"]):
    """Away: an error at once, or after a long silence."""

    def __init__(self, *, silent_seconds: float = 0) -> None:
        self.silent_seconds = silent_seconds
        self.asked = 0

    def service_connection(self, role: ServiceRole) -> DeadDatabase:
        self.asked += 1
        return self

    async def __aenter__(self) -> Tx:
        await asyncio.sleep(self.silent_seconds)
        raise OSError("the database is away")

    async def __aexit__(self, *_: object) -> None:
        return None


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def mark() -> str:
    """Give an address of this test's own, so that its rows are told from others'."""
    return f"test-{uuid4()}"


def rows(superuser: psycopg.Connection, mark: str) -> list[tuple[object, ...]]:
    return superuser.execute(
        """
        SELECT tenant_id, service, actor_kind, actor_id, action, outcome, reason, address, request_id, user_agent,
               details
          FROM audit_log WHERE address = %s OR details::text LIKE %s ORDER BY audit_id
        """,
        [mark, f"%{mark}%"],
    ).fetchall()


async def test_a_refused_token_leaves_one_row_with_its_reason(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    with structlog.contextvars.bound_contextvars(request_id="request-1234"):
        await AuthAudit(database, address_of=address_of).refused(
            request(mark), TokenRefused("signature")
        )

    assert rows(superuser, mark) == [
        (
            PLATFORM_TENANT,
            "svc_provision_api",
            "anonymous",
            "anonymous",
            "credentials.refuse",
            "denied",
            "signature",
            mark,
            "request-1234",
            "curl/8",
            {},
        )
    ]


async def test_a_call_that_brings_a_refused_token_leaves_one_row_that_names_its_cause(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    refusals = AuthAudit(database, address_of=address_of)

    await refusals.refused_call(f"pulse.rpc.{mark}", "request-1234", TokenRefused("expired"))
    await refusals.refused_call(f"pulse.rpc.{mark}", "request-1234", Unauthenticated("none"))

    (row,) = rows(superuser, mark)
    assert (row[4], row[6], row[8], row[10]) == (
        "credentials.refuse",
        "expired",
        "request-1234",
        {"rpc": f"pulse.rpc.{mark}"},
    )


async def test_calls_and_requests_share_one_bound(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    refusals = AuthAudit(database, address_of=address_of, rows_per_window=2)

    for _ in range(50):
        await refusals.refused(request(mark), TokenRefused("signature"))
        await refusals.refused_call(f"pulse.rpc.{mark}", None, TokenRefused("signature"))
    await refusals.next_window()

    assert [row[6] for row in rows(superuser, mark)] == ["signature", "signature", "summary"]


async def test_a_request_without_credentials_leaves_none() -> None:
    database = DeadDatabase()

    await AuthAudit(database, address_of=address_of).refused(request(), Unauthenticated("none"))

    assert database.asked == 0


async def test_ten_thousand_bad_tokens_leave_twenty_rows_and_a_summary(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    refusals = AuthAudit(database, address_of=address_of)

    for number in range(FLOOD):
        reason = "signature" if number % 2 else "expired"
        await refusals.refused(request(mark), TokenRefused(reason))
    await refusals.next_window()
    await refusals.next_window()

    found = rows(superuser, mark)
    assert len(found) == auth_audit.ROWS_PER_WINDOW + 1
    assert found[-1][6] == "summary"
    assert found[-1][10] == {
        "not_recorded_singly": FLOOD - auth_audit.ROWS_PER_WINDOW,
        "reasons": {"signature": 4990, "expired": 4990},
        "addresses": {mark: FLOOD - auth_audit.ROWS_PER_WINDOW},
        "window_seconds": 60.0,
    }


async def test_a_flood_through_the_door_is_answered_and_counted(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    async def refuse(request: Request) -> Principal:
        raise TokenRefused("malformed" if bearer_token(request) else "")

    async def unreachable(_: Request, __: Principal) -> Response:
        return PlainTextResponse("in")

    refusals = AuthAudit(database, address_of=address_of, rows_per_window=0)
    endpoint = Guarded(method="GET", path="/", roles=frozenset({"x"}), handler=unreachable)
    browser = TestClient(build_app([endpoint], refuse, on_refused=refusals.refused))

    statuses = {
        browser.get("/", headers={"authorization": "Bearer x", "x-test-address": mark}).status_code
        for _ in range(200)
    }
    await refusals.next_window()

    assert statuses == {401}
    assert [row[6] for row in rows(superuser, mark)] == ["summary"]


async def test_many_addresses_do_not_make_a_long_row(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    refusals = AuthAudit(database, address_of=address_of, rows_per_window=0)

    for number in range(1000):
        await refusals.refused(request(f"{mark}-{number}"), TokenRefused("signature"))
    await refusals.next_window()

    (row,) = rows(superuser, mark)
    assert isinstance(row[10], dict)
    assert len(row[10]["addresses"]) == auth_audit.MOST_ADDRESSES + 1
    assert row[10]["addresses"]["others"] == 1000 - auth_audit.MOST_ADDRESSES


async def test_a_dead_database_is_asked_once_a_window_and_never_raises() -> None:
    database = DeadDatabase()
    refusals = AuthAudit(database, address_of=address_of)

    for _ in range(1000):
        await refusals.refused(request(), TokenRefused("signature"))

    assert database.asked == 1


async def test_a_database_that_hangs_costs_one_request_half_a_second() -> None:
    database = DeadDatabase(silent_seconds=60)
    refusals = AuthAudit(database, address_of=address_of)
    loop = asyncio.get_running_loop()
    started = loop.time()

    for _ in range(1000):
        await refusals.refused(request(), TokenRefused("signature"))

    assert loop.time() - started < 1


async def test_counts_outlive_a_database_that_was_away(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    dead = DeadDatabase()
    refusals = AuthAudit(dead, address_of=address_of)
    for _ in range(50):
        await refusals.refused(request(mark), TokenRefused("signature"))
    await refusals.next_window()

    refusals._database = database
    await refusals.next_window()

    (row,) = rows(superuser, mark)
    assert isinstance(row[10], dict)
    assert row[10]["not_recorded_singly"] == 50


async def test_the_running_window_is_written_down_when_the_service_stops(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    refusals = AuthAudit(database, address_of=address_of, rows_per_window=0)
    running = asyncio.create_task(refusals.run())
    await asyncio.sleep(0)
    await refusals.refused(request(mark), TokenRefused("signature"))

    running.cancel()
    await asyncio.wait([running])

    assert len(rows(superuser, mark)) == 1


async def test_windows_end_by_themselves(
    database: Database, superuser: psycopg.Connection, mark: str
) -> None:
    refusals = AuthAudit(database, address_of=address_of, rows_per_window=1, window_seconds=0.1)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(refusals.run())
        for _ in range(3):
            await refusals.refused(request(mark), TokenRefused("signature"))
        await asyncio.sleep(0.3)
        await refusals.refused(request(mark), TokenRefused("expired"))
        running.cancel()

    assert [row[6] for row in rows(superuser, mark)] == ["signature", "summary", "expired"]
