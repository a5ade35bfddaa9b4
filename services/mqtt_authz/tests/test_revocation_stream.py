"""Revocations as they arrive: through a real NATS that dies on the way, with a broker that fails first."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import pytest
from conftest import PASSWORD
from services.mqtt_authz.tests.revocation_world import ORDER, World

from mqtt_authz.app import CONSUMER
from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.consume import consume
from pulse_common.outbox import Relay

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from uuid import UUID

    from conftest import Nats
    from nats.js import JetStreamContext
    from services.mqtt_authz.tests.conftest import Enrol

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def consuming(bus: Bus, world: World, database: Database) -> AsyncIterator[None]:
    tasks = [
        asyncio.create_task(consume(bus, CONSUMER, world.worker.handle)),
        asyncio.create_task(Relay(database, bus).run()),
    ]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 -- what it waits for is in the database
            await asyncio.sleep(0.02)


async def cut_of(device: UUID, cuts: JetStreamContext.PushSubscription) -> events.SessionCut:
    """Wait for one device's cut; the relay publishes those of earlier tests too."""
    while True:
        cut = events.SessionCut.model_validate_json((await cuts.next_msg(timeout=20)).data)
        if cut.device_id == device:
            return cut


async def test_event_from_nats_ends_in_a_confirmed_cut_although_the_broker_fails_first(
    world: World, database: Database, enrol: Enrol, nats_server: Nats
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    world.broker.failing = {"ban": 1, "kick": 2, "confirm": 1}
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="mqtt_authz"
    )
    try:
        for stream in (events.STREAM_EVENTS, events.STREAM_PARKED):
            await bus.ensure_stream(stream)
        cuts = await bus.jetstream.subscribe(events.SessionCut.subject)
        event = world.revoke(enrolled)
        async with consuming(bus, world, database):
            await bus.publish_stored(event.subject, event.to_bytes(), message_id="1")

            cut = await cut_of(enrolled.device, cuts)
    finally:
        await bus.close()

    assert cut.device_id == enrolled.device
    assert 0 <= cut.seconds < 20
    assert world.broker.held == set()
    assert world.broker.wills_published == []
    assert world.broker.calls[-5:] == ORDER
    assert len(world.told(enrolled)) == 1


async def test_revocation_is_carried_out_after_nats_was_killed(
    world: World, database: Database, enrol: Enrol, nats_server: Nats
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="mqtt_authz"
    )
    try:
        for stream in (events.STREAM_EVENTS, events.STREAM_PARKED):
            await bus.ensure_stream(stream)
        event = world.revoke(enrolled)
        world.broker.failing = {"kick": 3}
        async with consuming(bus, world, database):
            await bus.publish_stored(event.subject, event.to_bytes(), message_id="1")
            await until(lambda: "kick" in world.broker.calls)
            nats_server.kill()
            nats_server.start()

            await until(lambda: world.cut_at(enrolled) is not None)
    finally:
        await bus.close()

    assert world.broker.held == set()
