"""From a reading to a customer's endpoint and its log: signed, owned, retried, kept apart, replayed."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import dataclasses
import functools
import json
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import pytest
from services.delivery_worker.tests.conftest import Engine, messages, running, until_true, waiting
from services.delivery_worker.tests.endpoints import Endpoint, serving
from standardwebhooks import Webhook, WebhookVerificationError
from structlog.testing import capture_logs

from delivery_worker import domain
from pulse_common import delivery_events as calls
from pulse_common.errors import Conflict, LimitReached, Malformed, NotFound, Stale, Unavailable
from pulse_common.messaging import Done

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Nats, Postgres

    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database, TenantTx

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(60)]


async def test_reading_reaches_its_webhook_signed_and_is_in_the_log(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    device = uuid4()
    async with serving() as endpoint:
        made = await engine.route(endpoint.url, metrics=["temperature"])
        await engine.publish(device, temperature=21.5, noise=3)
        await engine.publish(device, noise=4)
        await until_true(lambda: messages(endpoint))
        (got,) = messages(endpoint)

        assert made.secret is not None
        body = Webhook(made.secret).verify(got.body, got.headers)
        assert (body["type"], body["data"]["metrics"]) == ("telemetry", {"temperature": 21.5})
        with pytest.raises(WebhookVerificationError):
            Webhook("whsec_" + base64.b64encode(b"x" * 32).decode()).verify(got.body, got.headers)

        def logged() -> object:
            return superuser.execute(
                "SELECT stage, delivered, status, response_body, delivery_id, device_id"
                " FROM delivery_attempts WHERE route_id = %s AND event_type = 'telemetry'",
                [made.route_id],
            ).fetchone()

        # It is written down once the endpoint has answered.
        await until_true(logged)
        assert logged() == ("after", True, 200, "ok", got.headers["webhook-id"], device)


async def test_secret_is_sealed_and_both_signatures_are_sent_while_it_is_rotated(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        rotated = await engine.handlers.rotate(engine.act(calls.RotateSecretRequest, made.route_id))
        await engine.handlers.test(engine.act(calls.TestRouteRequest, made.route_id))
        engine.clock.ahead = domain.SECRET_OVERLAP + timedelta(minutes=1)
        await engine.handlers.test(engine.act(calls.TestRouteRequest, made.route_id))
        during, after = messages(endpoint)

        assert made.secret is not None
        assert rotated.secret is not None
        for secret in (made.secret, rotated.secret):
            assert Webhook(secret).verify(during.body, during.headers)
        assert len(during.headers["webhook-signature"].split()) == 2
        assert len(after.headers["webhook-signature"].split()) == 1
        kept = superuser.execute(
            "SELECT r::text, secret_sealed FROM routes r WHERE route_id = %s", [made.route_id]
        ).fetchone()
        assert kept is not None
        assert rotated.secret not in kept[0]
        assert rotated.secret.encode() not in bytes(kept[1])


async def test_nothing_is_sent_before_the_endpoint_answers_the_challenge(engine: Engine) -> None:
    async with serving(Endpoint(echoes_challenge=False)) as endpoint:
        made = await engine.unverified(endpoint.url)
        answer = await engine.handlers.verify(engine.act(calls.VerifyRouteRequest, made.route_id))
        await engine.publish(uuid4(), a=1)
        with pytest.raises(Conflict):
            await engine.handlers.test(engine.act(calls.TestRouteRequest, made.route_id))

        assert not answer.delivered
        assert answer.error == "the endpoint answered, but not with the challenge"
        assert messages(endpoint) == []


async def test_another_url_has_to_be_verified_anew(engine: Engine) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        wanted = calls.RouteWanted(
            name="n", url=f"{endpoint.url}/2", event_types=["cert.revoked"], device_ids=[uuid4()]
        )
        asked = calls.ChangeRouteRequest(
            tenant_id=engine.tenant, actor_id="a", route_id=made.route_id, wanted=wanted, version=99
        )
        with pytest.raises(Stale):
            await engine.handlers.change(asked)
        await engine.handlers.change(asked.model_copy(update={"version": None}))
        with pytest.raises(Conflict):
            await engine.handlers.test(engine.act(calls.TestRouteRequest, made.route_id))


async def test_challenge_that_another_address_answered_meanwhile_proves_nothing(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    async def meddle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        body = await reader.readexactly(length)
        superuser.execute(
            "UPDATE routes SET url = url || '/2' WHERE tenant_id = %s", [engine.tenant]
        )
        writer.write(b"HTTP/1.1 200 X\r\ncontent-length: %d\r\n\r\n" % length + body)
        writer.close()

    server = await asyncio.start_server(meddle, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    made = await engine.unverified(f"http://127.0.0.1:{port}/")

    with pytest.raises(Conflict, match="has changed meanwhile"):
        await engine.handlers.verify(engine.act(calls.VerifyRouteRequest, made.route_id))
    server.close()

    query = "SELECT status FROM routes WHERE route_id = %s"
    assert superuser.execute(query, [made.route_id]).fetchone() == ("unverified",)


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://169.254.169.254/latest"},
        {"url": "http://localhost:8080/"},
        {"event_types": ["tenant.suspended"]},
        {"event_types": []},
        {"template": "{{ not json"},
        {"template": "[" * 2000},
    ],
)
async def test_what_cannot_be_delivered_is_not_taken(
    engine: Engine, wrong: dict[str, object]
) -> None:
    with pytest.raises(Malformed):
        await engine.unverified(**{"url": "http://127.0.0.1:8080/", **wrong})  # type: ignore[arg-type]


async def test_plan_says_how_many_routes_there_are(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    superuser.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, routes, hard_limits, features, cause,"
        " applied_at) VALUES (%s, 1, 'free', 'full', 1, true, '{}', 'test', now())",
        [engine.tenant],
    )
    await engine.unverified("http://127.0.0.1:8080/")

    with pytest.raises(LimitReached, match="1 routes"):
        await engine.unverified("http://127.0.0.1:8080/")


async def test_failed_delivery_comes_again_under_the_same_id_and_then_is_dead_and_replayed(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "RETRY_SECONDS", (0.1, 0.1))
    monkeypatch.setattr(domain, "MOST_ATTEMPTS", 3)
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        endpoint.status = 500
        await engine.publish(uuid4(), a=1)

        def dead() -> list[tuple[str, int]]:
            query = "SELECT delivery_id, attempts FROM delivery_dead_letters WHERE route_id = %s"
            return superuser.execute(query, [made.route_id]).fetchall()

        await until_true(dead)
        ids = {got.headers["webhook-id"] for got in messages(endpoint)}
        assert dead() == [(ids.copy().pop(), 3)]
        assert len(messages(endpoint)) == 3

        endpoint.status = 200
        asked = engine.act(
            calls.ReplayDeadRequest, made.route_id, since=engine.clock() - timedelta(1)
        )
        assert (await engine.replaying.replay(asked)).replayed == 1
        await until_true(lambda: len(messages(endpoint)) == 4)
        assert {got.headers["webhook-id"] for got in messages(endpoint)} == ids
        assert dead() == []
        assert (await engine.replaying.replay(asked)).replayed == 0
        with pytest.raises(NotFound):
            await engine.replaying.replay(asked.model_copy(update={"delivery_id": "msg_x"}))


async def test_route_that_fails_for_days_is_told_and_then_disabled(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        endpoint.status = 500

        async def fail_after(days: float) -> None:
            superuser.execute(
                "UPDATE routes SET failing_since = now() - make_interval(secs => %s) WHERE route_id = %s",
                [days * 86_400, made.route_id],
            )
            engine.handlers.routes.changed(engine.tenant)
            before = len(messages(endpoint))
            await engine.publish(uuid4(), a=1)
            await until_true(lambda: len(messages(endpoint)) > before)

        await fail_after(1.1)
        await fail_after(3.1)

        def status() -> bool:
            row = superuser.execute(
                "SELECT status FROM routes WHERE route_id = %s", [made.route_id]
            ).fetchone()
            return row == ("disabled",)

        await until_true(status)
        told = superuser.execute(
            "SELECT payload->>'kind' FROM outbox WHERE tenant_id = %s AND subject LIKE '%%route_troubled'"
            " ORDER BY position",
            [engine.tenant],
        ).fetchall()
        assert told == [("failing",), ("disabled",)]
        mailed = superuser.execute(
            "SELECT payload->>'title', payload->>'notice_key' FROM outbox"
            " WHERE tenant_id = %s AND subject = 'pulse.events.notice.raised' ORDER BY position",
            [engine.tenant],
        ).fetchall()
        assert [title for title, _ in mailed] == [
            "A webhook has failed for a day",
            "A webhook was disabled",
        ]
        assert len({key for _, key in mailed}) == 2


async def test_route_that_nothing_reaches_as_the_days_go_by_is_told_once_and_then_disabled(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(domain, "BREAKER_FAILURES", 1000)

    def state() -> tuple[object, ...] | None:
        query = "SELECT status, failing_since IS NOT NULL FROM routes WHERE route_id = %s"
        return superuser.execute(query, [made.route_id]).fetchone()

    def has_attempts(count: int) -> bool:
        query = "SELECT 1 FROM delivery_attempts WHERE route_id = %s AND event_type = 'telemetry'"
        return len(superuser.execute(query, [made.route_id]).fetchall()) >= count

    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        endpoint.status = 500
        for number, days in enumerate([0.0, 0.9, 1.1, 2.9], 1):
            engine.clock.ahead = timedelta(days=days)
            engine.handlers.routes.changed(engine.tenant)
            await engine.publish(uuid4(), n=number)
            await until_true(functools.partial(has_attempts, number))
            assert state() == ("active", True)
        engine.clock.ahead = timedelta(days=3, minutes=1)
        engine.handlers.routes.changed(engine.tenant)
        await engine.publish(uuid4(), n=5)
        await until_true(lambda: state() == ("disabled", True))

        assert told(superuser, engine.tenant) == ["failing", "disabled"]
        endpoint.status = 200
        await engine.handlers.resume(engine.act(calls.ResumeRouteRequest, made.route_id))
        assert state() == ("active", False)


async def test_endpoint_that_is_gone_is_asked_no_more_and_its_tenant_is_told(
    engine: Engine, superuser: psycopg.Connection
) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        endpoint.status = 410
        await engine.publish(uuid4(), n=1)
        query = "SELECT status FROM routes WHERE route_id = %s"
        await until_true(
            lambda: superuser.execute(query, [made.route_id]).fetchone() == ("disabled",)
        )
        engine.handlers.routes.changed(engine.tenant)
        asked = len(messages(endpoint))
        await engine.publish(uuid4(), n=2)
        await until_true(lambda: waiting(engine, made.route_id))

        assert told(superuser, engine.tenant) == ["gone"]
        assert len(messages(endpoint)) == asked


def told(superuser: psycopg.Connection, tenant: UUID) -> list[str]:
    query = (
        "SELECT payload->>'kind' FROM outbox WHERE tenant_id = %s AND subject LIKE '%%route_troubled'"
        " ORDER BY position"
    )
    return [row[0] for row in superuser.execute(query, [tenant]).fetchall()]


async def test_endpoint_is_called_once_though_our_database_is_away_when_it_answers(
    engine: Engine, superuser: psycopg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("delivery_worker.attempts.AWAY_SECONDS", 0.2)
    away = [True]

    @contextlib.asynccontextmanager
    async def connection(tenant: TenantId) -> AsyncIterator[TenantTx]:
        if away[0]:
            raise Unavailable("the database is away")
        async with engine.db.tenant_connection(tenant) as tx:
            yield tx

    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        attempts = engine.handlers.attempts
        route = await engine.handlers.routes.find(engine.tenant, made.route_id)
        assert route is not None
        shut = dataclasses.replace(
            attempts, db=cast("Database", SimpleNamespace(tenant_connection=connection))
        )
        delivery = calls.Delivery(
            tenant_id=engine.tenant,
            route_id=made.route_id,
            delivery_id="msg_1",
            event_type="telemetry",
            device_id=None,
            body="{}",
        )
        tried = await shut.send(route, delivery, 1)
        settling = asyncio.create_task(shut.settle(route, tried))
        await asyncio.sleep(0.5)
        assert not settling.done()
        away[0] = False

        assert await settling == Done()
        assert len(messages(endpoint)) == 1
        query = "SELECT delivered FROM delivery_attempts WHERE delivery_id = 'msg_1'"
        assert superuser.execute(query).fetchall() == [(True,)]


async def test_each_attempt_is_one_log_line_without_the_address_the_body_or_a_secret(
    engine: Engine,
) -> None:
    async with serving() as endpoint:
        with capture_logs() as lines:
            made = await engine.route(f"{endpoint.url}?token=hush")
            endpoint.status = 500
            endpoint.body = b"a secret of theirs"
            await engine.handlers.test(engine.act(calls.TestRouteRequest, made.route_id))

        attempted = [line for line in lines if line["event"] == "delivery_attempted"]
        assert [line["event_type"] for line in attempted] == ["webhook.verification", "test"]
        assert [line["stage"] for line in attempted] == ["after", "after"]
        assert made.secret is not None
        for hidden in ("hush", "secret of theirs", made.secret, "v1,"):
            assert hidden not in str(lines)


async def test_paused_route_collects_and_delivers_when_it_is_resumed(engine: Engine) -> None:
    async with serving() as endpoint:
        made = await engine.route(endpoint.url)
        await engine.handlers.pause(engine.act(calls.PauseRouteRequest, made.route_id))
        await engine.publish(uuid4(), a=1)
        await until_true(lambda: waiting(engine, made.route_id))
        assert messages(endpoint) == []

        await engine.handlers.resume(engine.act(calls.ResumeRouteRequest, made.route_id))

        await until_true(lambda: messages(endpoint))


async def test_hanging_neighbour_delays_nobody(engine: Engine) -> None:
    async with serving() as healthy, serving() as hanging:
        await engine.route(healthy.url)
        await engine.route(hanging.url)
        hanging.hangs = True
        began = time.monotonic()
        for _ in range(50):
            await engine.publish(uuid4(), a=1)

        await until_true(lambda: len(messages(healthy)) == 50)

        assert time.monotonic() - began < 5
        assert 1 <= len(messages(hanging)) <= 4


async def test_two_replicas_share_a_lane_and_a_lost_one_loses_nothing(
    engine: Engine, postgres: Postgres, nats_server: Nats, tenant: UUID
) -> None:
    async with serving() as endpoint:
        await engine.route(endpoint.url)
        async with running(postgres, nats_server, tenant):
            for _ in range(60):
                await engine.publish(uuid4(), a=1)
        await until_true(lambda: len({m.headers["webhook-id"] for m in messages(endpoint)}) == 60)


async def test_route_of_one_tenant_hears_nothing_of_another(engine: Engine) -> None:
    async with serving() as endpoint:
        await engine.route(endpoint.url)
        await engine.publish(uuid4(), tenant=uuid4(), a=1)
        await engine.publish(uuid4(), a=2)
        await until_true(lambda: messages(endpoint))

        assert [json.loads(m.body)["data"]["metrics"] for m in messages(endpoint)] == [{"a": 2.0}]


async def test_template_shapes_what_is_sent(engine: Engine) -> None:
    template = '{"t": "{{ data.metrics.a }}", "text": "a={{ data.metrics.a }} {{ no.such }}"}'
    async with serving() as endpoint:
        await engine.route(endpoint.url, template=template)
        await engine.publish(uuid4(), a=1.5)
        await until_true(lambda: messages(endpoint))

        assert json.loads(messages(endpoint)[0].body) == {"t": 1.5, "text": "a=1.5 "}
