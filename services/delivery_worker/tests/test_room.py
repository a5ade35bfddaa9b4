"""What waits is bounded for each route by itself, counted when it is too much, and held for suspended tenants."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.delivery_worker.tests.conftest import messages, until_true, waiting
from services.delivery_worker.tests.endpoints import serving

from delivery_worker import domain
from delivery_worker.keeping import Keeping
from pulse_common import delivery_events as calls
from pulse_common import events
from pulse_common.bus import STREAMS
from pulse_common.errors import Conflict

if TYPE_CHECKING:
    import psycopg
    from services.delivery_worker.tests.conftest import Engine
    from services.delivery_worker.tests.endpoints import Endpoint

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def have_room_for(engine: Engine, count: int) -> None:
    smaller = dataclasses.replace(STREAMS[events.STREAM_DELIVERY], max_msgs_per_subject=count)
    await engine.bus.jetstream.update_stream(smaller)


async def until_received(endpoint: Endpoint, count: int) -> None:
    await until_true(lambda: len(messages(endpoint)) >= count)


async def pause(engine: Engine, route_id: UUID) -> None:
    await engine.handlers.pause(engine.act(calls.PauseRouteRequest, route_id))


async def resume(engine: Engine, route_id: UUID) -> None:
    await engine.handlers.resume(engine.act(calls.ResumeRouteRequest, route_id))


async def test_what_finds_no_room_is_counted_told_and_hurts_no_neighbour(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    await have_room_for(engine, 3)
    async with serving() as endpoint, serving() as other:
        paused = await engine.route(endpoint.url)
        await pause(engine, paused.route_id)
        neighbour = await engine.route(other.url)
        for number in range(8):
            await engine.publish(uuid4(), n=number)
            await until_received(other, number + 1)

        def counted() -> object:
            query = "SELECT dropped, dropped_at IS NULL FROM routes WHERE route_id = ANY(%s)"
            both = [paused.route_id, neighbour.route_id]
            return sorted(superuser.execute(query, [both])) == [(0, True), (5, False)]

        await until_true(counted)
        told = superuser.execute(
            "SELECT payload->>'kind', payload->>'route_id' FROM outbox WHERE tenant_id = %s"
            " AND subject = 'pulse.events.delivery.route_troubled'",
            [engine.tenant],
        ).fetchall()
        assert told == [("full", str(paused.route_id))]
        assert notices(superuser, engine.tenant) == ["A webhook has no room for more"]
        await resume(engine, paused.route_id)
        await until_true(lambda: len(messages(endpoint)) == 3)
        await engine.publish(uuid4(), n=9)
        await until_true(lambda: len(messages(endpoint)) == 4)


def notices(superuser: psycopg.Connection, tenant: UUID) -> list[str]:
    query = "SELECT payload->>'title' FROM outbox WHERE tenant_id = %s AND subject = 'pulse.events.notice.raised'"
    return [row[0] for row in superuser.execute(query, [tenant])]


async def test_large_messages_fill_a_backlog_by_their_size(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery_worker.placing.MOST_WAITING_BYTES", 1500)
    template = '{"long": "' + "x" * 700 + '"}'
    async with serving() as endpoint:
        made = await engine.route(endpoint.url, template=template)
        await pause(engine, made.route_id)
        for number in range(4):
            await engine.publish(uuid4(), n=number)
            # What waits is looked at each second.
            await asyncio.sleep(1.2)

        await until_true(lambda: dropped(superuser))
        assert engine.lanes.waiting_for(made.route_id) == 2


def dropped(superuser: psycopg.Connection) -> bool:
    return bool(superuser.execute("SELECT 1 FROM routes WHERE dropped > 0").fetchall())


async def test_replay_into_a_full_backlog_is_refused_and_keeps_the_dead_letters(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "MOST_ATTEMPTS", 1)
    await have_room_for(engine, 2)
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        endpoint.status = 500
        for number in range(4):
            await engine.publish(uuid4(), n=number)
            await until_dead(superuser, made.route_id, number + 1)
        await pause(engine, made.route_id)
        asked = engine.act(calls.ReplayDeadRequest, made.route_id)
        first = await engine.replaying.replay(asked)
        with pytest.raises(Conflict, match="as many messages wait"):
            await engine.replaying.replay(asked)

        assert first.replayed == 2
        await until_dead(superuser, made.route_id, 2)
        await until_true(lambda: engine.lanes.waiting_for(made.route_id) == 2)
        backlog = await engine.handlers.backlog(calls.BacklogRequest(tenant_id=engine.tenant))
        assert backlog.waiting == {made.route_id: 2}


async def until_dead(superuser: psycopg.Connection, route_id: UUID, count: int) -> None:
    query = "SELECT count(*) FROM delivery_dead_letters WHERE route_id = %s"
    await until_true(lambda: superuser.execute(query, [route_id]).fetchone() == (count,))


async def test_suspended_tenants_deliveries_wait_and_none_is_lost(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        set_status(superuser, engine.tenant, "suspended")
        engine.handlers.routes.changed(engine.tenant)
        for number in range(5):
            await engine.publish(uuid4(), n=number)
        await until_true(lambda: waiting(engine, made.route_id))
        with pytest.raises(Conflict, match="suspended"):
            await engine.handlers.test(engine.act(calls.TestRouteRequest, made.route_id))
        with pytest.raises(Conflict, match="suspended"):
            await engine.handlers.verify(engine.act(calls.VerifyRouteRequest, made.route_id))
        assert messages(endpoint) == []

        set_status(superuser, engine.tenant, "active")

        await until_true(lambda: len(messages(endpoint)) == 5)


def set_status(superuser: psycopg.Connection, tenant: UUID, status: str) -> None:
    superuser.execute("UPDATE tenants SET status = %s WHERE tenant_id = %s", [status, tenant])


async def test_log_of_a_tenant_without_traffic_is_not_kept_longer(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        await engine.handlers.test(engine.act(calls.TestRouteRequest, made.route_id))
    superuser.execute(
        "INSERT INTO delivery_dead_letters (tenant_id, delivery_id, route_id, event_type, died_at, attempts, reason,"
        " message) VALUES (%s, 'msg_old', %s, 'telemetry', now() - interval '31 days', 8, 'x', '{}'),"
        " (%s, 'msg_new', %s, 'telemetry', now(), 8, 'x', '{}')",
        [engine.tenant, made.route_id, engine.tenant, made.route_id],
    )
    superuser.execute(
        "UPDATE delivery_attempts SET attempted_at = now() - interval '31 days'"
        " WHERE tenant_id = %s AND event_type = 'webhook.verification'",
        [engine.tenant],
    )

    keeping = Keeping(db=engine.db, clock=engine.clock, keep=timedelta(days=30))
    await keeping.forget_once()

    left = superuser.execute(
        "SELECT event_type FROM delivery_attempts WHERE tenant_id = %s"
        " UNION ALL SELECT delivery_id FROM delivery_dead_letters WHERE tenant_id = %s",
        [engine.tenant, engine.tenant],
    ).fetchall()
    assert left == [("test",), ("msg_new",)]
