"""What a route asks for is what it gets: by group, by type, and its tenant's own audit log."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.delivery_worker.tests.conftest import messages, until_true
from services.delivery_worker.tests.endpoints import serving

from pulse_common import delivery_events as calls

if TYPE_CHECKING:
    import psycopg
    from services.delivery_worker.tests.conftest import Engine
    from services.delivery_worker.tests.endpoints import Endpoint

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]

ROOT = Path(__file__).parents[3]


def add_device(superuser: psycopg.Connection, tenant: UUID) -> UUID:
    device = uuid4()
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, %s)",
        [tenant, device, f"device {device}"],
    )
    return device


def add_group(superuser: psycopg.Connection, tenant: UUID) -> UUID:
    group = uuid4()
    superuser.execute(
        "INSERT INTO device_groups (tenant_id, group_id, name) VALUES (%s, %s, %s)",
        [tenant, group, f"group {group}"],
    )
    return group


def join(superuser: psycopg.Connection, tenant: UUID, group: UUID, device: UUID) -> None:
    superuser.execute(
        "INSERT INTO device_group_members (tenant_id, group_id, device_id) VALUES (%s, %s, %s)",
        [tenant, group, device],
    )


def numbers(endpoint: Endpoint) -> list[int]:
    return sorted(json.loads(m.body)["data"]["metrics"]["n"] for m in messages(endpoint))


async def test_route_of_a_group_gets_its_members_as_of_now_and_its_named_devices(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    tenant = engine.tenant
    member, named, stranger = (add_device(superuser, tenant) for _ in range(3))
    group, other = add_group(superuser, tenant), add_group(superuser, tenant)
    join(superuser, tenant, group, member)
    join(superuser, tenant, other, stranger)
    async with serving() as endpoint:
        await engine.route(endpoint.url, group_ids=[group], device_ids=[named])
        await engine.publish(stranger, n=1)
        await engine.publish(member, n=2)
        await engine.publish(named, n=3)
        await until_true(lambda: numbers(endpoint) == [2, 3])

        join(superuser, tenant, group, stranger)
        await engine.publish(stranger, n=4)

        await until_true(lambda: numbers(endpoint) == [2, 3, 4])


async def test_route_of_a_deleted_group_gets_nothing_rather_than_everything(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    device = add_device(superuser, engine.tenant)
    group = add_group(superuser, engine.tenant)
    async with serving() as endpoint, serving() as everything:
        await engine.route(endpoint.url, group_ids=[group])
        await engine.route(everything.url)
        superuser.execute("DELETE FROM device_groups WHERE group_id = %s", [group])
        await engine.publish(device, n=1)

        await until_true(lambda: numbers(everything) == [1])
        assert messages(endpoint) == []


def act(
    superuser: psycopg.Connection, tenant: UUID, action: str, device: UUID | None = None
) -> str:
    audit_id = str(uuid4())
    superuser.execute(
        "INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id, outcome,"
        " after, details) VALUES (%s, %s, 'user', 'alice', %s, %s, %s, 'success', '{\"a\": 1}', '{}')",
        [tenant, audit_id, action, "device" if device else "team", str(device or uuid4())],
    )
    return audit_id


def audit_ids(endpoint: Endpoint) -> list[str]:
    return [json.loads(m.body)["data"]["audit_id"] for m in messages(endpoint)]


async def test_audit_route_gets_each_row_of_its_own_tenant_once_and_in_order(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    stranger = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'S')", [stranger])
    act(superuser, engine.tenant, "device.create")
    async with serving() as endpoint:
        await engine.route(endpoint.url, event_types=[calls.AUDIT], ordered=True)
        await engine.feed.feed_once()
        made = []
        for number in range(5):
            act(superuser, stranger, "device.create")
            made.append(act(superuser, engine.tenant, f"device.{number}"))
            if number % 2:
                await engine.feed.feed_once()
        await engine.feed.feed_once()
        await engine.feed.feed_once()

        await until_true(lambda: len(audit_ids(endpoint)) >= 6)
        # Its own verification comes first.
        assert audit_ids(endpoint)[1:] == made
        body = json.loads(messages(endpoint)[1].body)
        assert (body["type"], body["data"]["after"]) == ("audit.recorded", {"a": 1})
        assert "tenant_id" not in body["data"]


async def test_audit_route_gets_what_happens_from_its_verification_on(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    before = act(superuser, engine.tenant, "team.invite")
    async with serving() as endpoint:
        await engine.route(endpoint.url, event_types=[calls.AUDIT])
        after = act(superuser, engine.tenant, "team.invite")
        await engine.feed.feed_once()

        await until_true(lambda: after in audit_ids(endpoint))
        assert before not in audit_ids(endpoint)


async def test_audit_row_of_a_transaction_that_ends_late_is_not_missed(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    async with serving() as endpoint:
        await engine.route(endpoint.url, event_types=[calls.AUDIT])
        await engine.feed.feed_once()
        async with engine.db.tenant_connection(engine.tenant) as tx:  # type: ignore[arg-type]
            late = uuid4()
            await tx.execute(
                "INSERT INTO audit_log (tenant_id, audit_id, actor_kind, actor_id, action, object_kind, object_id,"
                " outcome, details) VALUES (%(tenant)s, %(id)s, 'user', 'a', 'x', 'team', 'x', 'success', '{}')",
                {"tenant": engine.tenant, "id": late},
            )
            early = act(superuser, engine.tenant, "team.invite")
            await engine.feed.feed_once()
        await engine.feed.feed_once()

        await until_true(lambda: {*audit_ids(endpoint)} >= {str(late), early})


async def test_audit_rows_wait_in_the_log_while_a_route_has_no_room(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url, event_types=[calls.AUDIT])
        await engine.handlers.pause(engine.act(calls.PauseRouteRequest, made.route_id))
        await engine.feed.feed_once()
        monkeypatch.setattr("delivery_worker.placing.MOST_WAITING_BYTES", -1)
        first = act(superuser, engine.tenant, "team.invite")
        await engine.feed.feed_once()
        monkeypatch.setattr("delivery_worker.placing.MOST_WAITING_BYTES", 10**9)
        await engine.handlers.resume(engine.act(calls.ResumeRouteRequest, made.route_id))
        await engine.feed.feed_once()

        await until_true(lambda: first in audit_ids(endpoint))


def test_each_event_of_the_catalogue_is_one_that_the_platform_tells() -> None:
    told = set(re.findall(r'subject = "pulse\.events\.([a-z_.]+)"', sources()))

    for kind in calls.HAPPENINGS:
        assert kind in told, kind


def sources() -> str:
    folder = ROOT / "libs" / "common" / "src" / "pulse_common"
    return "".join(path.read_text() for path in folder.glob("*events*.py"))


def test_each_event_of_the_catalogue_is_documented() -> None:
    page = (ROOT / "docs" / "operations" / "delivery.md").read_text()

    assert [kind for kind in calls.EVENT_TYPES if f"`{kind}`" not in page] == []
