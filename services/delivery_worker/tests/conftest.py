"""The engine with real parts: a database, a bus, and endpoints on this machine that the rules allow."""

from __future__ import annotations

import asyncio
import ipaddress
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar
from uuid import UUID, uuid4

import pytest
from tests.parts import PASSWORD

from delivery_worker.app import route_all
from delivery_worker.attempts import Attempts
from delivery_worker.audit_feed import AuditFeed
from delivery_worker.calls import Caller
from delivery_worker.handlers import Handlers
from delivery_worker.known_routes import KnownRoutes
from delivery_worker.lane import end
from delivery_worker.lanes import Lanes
from delivery_worker.placing import Dropped, Placing
from delivery_worker.replaying import Replaying
from delivery_worker.router import Router
from delivery_worker.signing import Safe
from delivery_worker.targets import Rules
from delivery_worker.turns import Turns
from pulse_common import delivery_events as calls
from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    import psycopg
    from services.delivery_worker.tests.endpoints import Endpoint, Received
    from tests.parts import Nats, Postgres

A = TypeVar("A", bound=calls.RouteAct)
EVERYTHING_HERE = Rules(
    schemes=frozenset({"http"}),
    ports=frozenset(range(1024, 65536)),
    networks=(ipaddress.ip_network("127.0.0.1/32"),),
)


@dataclass(slots=True)
class Now:
    """A clock that tests move."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead  # noqa: TID251 -- the tests' own clock


@dataclass(slots=True, kw_only=True)
class Engine:
    tenant: UUID
    bus: Bus
    db: Database
    handlers: Handlers
    replaying: Replaying
    lanes: Lanes
    feed: AuditFeed
    clock: Now

    async def route(self, url: str, **more: object) -> calls.RouteReply:
        """Make a route and prove that its endpoint is its owner's."""
        made = await self.unverified(url, **more)
        answer = await self.handlers.verify(self.act(calls.VerifyRouteRequest, made.route_id))
        assert answer.delivered, answer
        return made

    async def unverified(self, url: str, **more: object) -> calls.RouteReply:
        wanted = {"name": "a route", "url": url, "event_types": ["telemetry"], **more}
        return await self.handlers.create(
            calls.CreateRouteRequest(
                tenant_id=self.tenant,
                actor_id="alice",
                route_id=uuid4(),
                wanted=calls.RouteWanted.model_validate(wanted),
            )
        )

    def act(self, kind: type[A], route_id: UUID, **more: object) -> A:
        asked = {"tenant_id": self.tenant, "actor_id": "alice", "route_id": route_id, **more}
        return kind.model_validate(asked)

    async def publish(self, device: UUID, tenant: UUID | None = None, **metrics: float) -> None:
        reading = events.Reading(
            tenant_id=tenant or self.tenant,
            device_id=device,
            message_id=uuid4(),
            ts=self.clock(),
            received_at=self.clock(),
            metrics=dict(metrics),
        )
        await self.bus.publish_stored(
            events.telemetry_subject(reading.tenant_id, device),
            reading.to_bytes(),
            message_id=str(reading.message_id),
        )


@asynccontextmanager
async def running(postgres: Postgres, nats_server: Nats, tenant: UUID) -> AsyncIterator[Engine]:
    """Run one replica."""
    db = Database(postgres.url("svc_delivery_worker"), name="test")
    await db.open()
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="delivery_worker"
    )
    for stream in (events.STREAM_DELIVERY, events.STREAM_TELEMETRY, events.STREAM_EVENTS):
        await bus.ensure_stream(stream)
    clock, caller, safe = Now(), Caller(EVERYTHING_HERE), Safe([b"k" * 32])
    attempts = Attempts(db=db, caller=caller, safe=safe, clock=clock)
    routes = KnownRoutes(db=db)
    lanes = Lanes(bus=bus, routes=routes, attempts=attempts)
    placing = Placing(bus=bus, lanes=lanes)
    dropped = Dropped(db=db, clock=clock)
    turns = Turns(db=db)
    handlers = Handlers(
        db=db,
        safe=safe,
        rules=EVERYTHING_HERE,
        routes=routes,
        lanes=lanes,
        attempts=attempts,
        clock=clock,
    )
    router = Router(routes=routes, placing=placing, dropped=dropped)
    work = [
        asyncio.create_task(lanes.run()),
        asyncio.create_task(dropped.run()),
        asyncio.create_task(turns.run("routing", lambda: route_all(bus, router))),
    ]
    # Until the consumer is there, nothing is new to it.
    await until_true(lambda: _has_consumer(bus))
    feed = AuditFeed(db=db, routes=routes, placing=placing)
    yield Engine(
        tenant=tenant,
        bus=bus,
        db=db,
        handlers=handlers,
        replaying=Replaying(db=db, placing=placing),
        lanes=lanes,
        feed=feed,
        clock=clock,
    )
    await end(work)
    await caller.close()
    await bus.close()
    await db.close()


def messages(endpoint: Endpoint) -> Sequence[Received]:
    return [r for r in endpoint.received if b"webhook.verification" not in r.body]


async def waiting(engine: Engine, route_id: UUID) -> bool:
    info = await engine.bus.jetstream.stream_info("DELIVERY", subjects_filter="pulse.delivery.>")
    return any(str(route_id) in subject for subject in info.state.subjects or {})


async def _has_consumer(bus: Bus) -> bool:
    streams = (events.STREAM_TELEMETRY, events.STREAM_EVENTS)
    return all([await bus.jetstream.consumers_info(stream) for stream in streams])


async def until_true(check: Callable[[], object], seconds: float = 15) -> None:
    """Wait until ``check`` (which may be a coroutine function) says so."""
    async with asyncio.timeout(seconds):
        while True:
            found = check()
            if await found if asyncio.iscoroutine(found) else found:
                return
            await asyncio.sleep(0.05)


@pytest.fixture
def tenant(superuser: psycopg.Connection) -> UUID:
    made = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, %s)", [made, "T"])
    return made


@pytest.fixture
async def engine(postgres: Postgres, nats_server: Nats, tenant: UUID) -> AsyncIterator[Engine]:
    async with running(postgres, nats_server, tenant) as made:
        yield made
