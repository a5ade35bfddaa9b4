"""What people look at is in their tenant's audit log, and what they change is not there twice."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from starlette.requests import Request
from starlette.responses import Response

from pulse_common.audit_observe import Observer
from pulse_common.audit_spool import Spool
from pulse_common.clock import system_clock
from pulse_common.errors import Forbidden
from pulse_common.http import Guarded
from pulse_common.identity import TenantId
from pulse_common.testing.fakes import Unreachable
from ui_iot.audit_views import observed
from ui_iot.visits import Visit

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from pulse_common.identity import Principal

pytestmark = pytest.mark.anyio
ROLES = frozenset({"tenant-admin"})


class Person:
    subject = "alice"

    def __init__(self, tenant: TenantId | None) -> None:
        self.tenant = tenant


async def answer(request: Request, principal: Principal) -> Response:
    return Response("found")


async def refuse(request: Request, principal: Principal) -> Response:
    raise Forbidden("not yours")


def visited(connection: object) -> Visit:
    return Visit("192.0.2.1", "curl/8")


async def ask(spool: Spool, method: str, handler: Any, tenant: TenantId | None) -> list[list[str]]:  # noqa: ANN401
    endpoint = Guarded(method=method, path="/devices", roles=ROLES, handler=handler)
    database: Any = Unreachable()
    observer = Observer(database, spool, clock=system_clock)
    [wrapped] = observed([endpoint], observer, visited)
    scope = {
        "type": "http",
        "method": method,
        "path": "/devices",
        "headers": [],
        "query_string": b"q=x",
    }
    person: Any = Person(tenant)
    assert isinstance(wrapped, Guarded)
    with contextlib.suppress(Forbidden):
        await wrapped.handler(Request(scope), person)
    spool.close_segment()
    lines = [line for segment in spool.segments() for line in segment.read_text().splitlines()]
    return [line.split("\t") for line in lines]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.open(tmp_path)


async def test_a_read_is_recorded_with_who_what_and_whence(spool: Spool) -> None:
    tenant = TenantId(uuid4())

    [line] = await ask(spool, "GET", answer, tenant)

    assert line[0] == str(tenant)
    assert line[3:12] == [
        *("user", "alice", "page.view", "page", "/devices", "success", "\\N", "192.0.2.1", "curl/8")
    ]


async def test_a_refused_read_is_recorded_as_refused(spool: Spool) -> None:
    [line] = await ask(spool, "GET", refuse, TenantId(uuid4()))

    assert line[8:10] == ["denied", "forbidden"]


async def test_changes_and_operators_record_themselves(spool: Spool) -> None:
    assert await ask(spool, "POST", answer, TenantId(uuid4())) == []
    assert await ask(spool, "GET", answer, None) == []
