"""Every audit row says where its request came from, an operator's too, and of a service that was asked over the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx2
import pytest
from starlette.responses import Response
from tests.parts import PASSWORD

from pulse_common import audit, events, origin
from pulse_common.bus import Bus
from pulse_common.http import Guarded, build_app
from pulse_common.identity import Principal, Role, TenantId
from pulse_common.ratelimit import Limiter
from pulse_common.ratelimit_store import BoundedMemory
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import psycopg
    from starlette.requests import Request
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.anyio
HEADERS = {"user-agent": "Firefox", "x-request-id": "request-1234", "x-real": "203.0.113.9"}
CAME = ("203.0.113.9", "Firefox", "request-1234")


class Ask(events.Call):
    rpc = "pulse.rpc.cert_worker.origin_test"


class Told(events.Wire):
    address: str | None
    user_agent: str | None
    request_id: str | None


def act(mark: str) -> audit.Act:
    return audit.Act(
        actor_kind="user", actor_id="u", action="api.read", object_kind="test", object_id=mark
    )


async def answer(handler: Callable[[], Awaitable[None]]) -> None:
    """Have ``handler`` answer one request that came with ``HEADERS``."""

    async def who(_: Request) -> Principal:
        return Principal(subject="u", tenant=None, roles=frozenset({Role.OPERATOR}))

    async def handle(_: Request, __: Principal) -> Response:
        await handler()
        return Response()

    app = build_app(
        [Guarded(method="GET", path="/", roles=frozenset({Role.OPERATOR}), handler=handle)],
        who,
        limiter=Limiter(BoundedMemory(), address_of=lambda request: request.headers["x-real"]),
    )
    transport = httpx2.ASGITransport(app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://pulse") as client:
        assert (await client.get("/", headers=HEADERS)).status_code == 200


def rows(superuser: psycopg.Connection, column: str, value: object) -> list[tuple[object, ...]]:
    return superuser.execute(
        f"SELECT address, user_agent, request_id FROM audit_log WHERE {column} = %s",  # noqa: S608 -- the tests' own
        [value],
    ).fetchall()


async def test_change_and_operators_read_say_where_they_came_from(
    postgres: Postgres, superuser: psycopg.Connection
) -> None:
    mark, actor = str(uuid4()), str(uuid4())
    tenant = TenantId(UUID("11111111-1111-4111-8111-111111111112"))
    login, operators = (
        Database(postgres.url(name), name="test") for name in ("svc_ui_iot", "svc_ui_iot_operator")
    )
    await login.open()
    await operators.open()

    async def handler() -> None:
        async with login.service_connection("pulse_audit") as tx:
            await audit.record(tx, act(mark))
        async with operators.operator_read_connection(actor, "ticket", tenants=[tenant]):
            pass

    await answer(handler)
    await login.close()
    await operators.close()

    assert rows(superuser, "object_id", mark) == [CAME]
    assert rows(superuser, "actor_id", actor) == [CAME, CAME]


async def test_service_that_is_asked_knows_whose_request_it_works_for(nats_server: Nats) -> None:
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="cert_worker"
    )

    async def tell(_: Ask) -> Told:
        found = origin.current()
        return Told(address=found.address, user_agent=found.user_agent, request_id=found.request_id)

    await bus.answer(Ask, tell)
    told = [await bus.call(Ask(), Told)]

    async def handler() -> None:
        told.append(await bus.call(Ask(), Told))

    await answer(handler)
    await bus.close()

    assert set(told[0].model_dump().values()) == {None}
    assert tuple(told[1].model_dump().values()) == CAME


@pytest.mark.parametrize("text", ["", "x", "[]", "1", "{}", '{"address": 1}', "[" * 100_000])
def test_origin_that_cannot_be_read_is_none(text: str) -> None:
    origin.from_header(text)

    assert origin.current() == origin.NOWHERE
