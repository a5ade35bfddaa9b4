"""Commands: to one device, over a real broker, answered when the broker has them."""

from __future__ import annotations

import asyncio
import json
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ingest_worker.tests.conftest import eventually, open_bus, running, target
from services.ingest_worker.tests.test_writer import FakeMessage, Owner, add_device

from ingest_worker.commands import Commands
from ingest_worker.link import Link
from ingest_worker.pipeline import Pipeline
from pulse_common.clock import system_clock
from pulse_common.errors import Conflict, Malformed, NotFound, Unavailable
from pulse_common.events import CommandAcknowledgement, CommandReply, CommandRequest, MetricValue
from pulse_common.messaging import Done

if TYPE_CHECKING:
    from conftest import Nats
    from psycopg import Connection
    from services.ingest_worker.tests.conftest import Device, Mosquitto

    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


def command(device: Device, **arguments: MetricValue) -> CommandRequest:
    return CommandRequest(
        tenant_id=device.tenant_id,
        device_id=device.device_id,
        command_id=uuid4(),
        name="blink",
        arguments=arguments,
        actor_id="alice",
    )


@pytest.fixture
def commands(link: Link, database: Database, device: Device, superuser: Connection) -> Commands:
    add_device(superuser, Owner(device.tenant_id, device.device_id))
    return Commands(link, database, system_clock)


def history(superuser: Connection, device: Device) -> list[tuple[object, ...]]:
    return superuser.execute(
        "SELECT state, result FROM commands WHERE device_id = %s ORDER BY created_at",
        [device.device_id],
    ).fetchall()


@pytest.fixture
def link(mosquitto: Mosquitto, bus: Bus) -> Link:
    return Link(target(mosquitto.port), Pipeline(bus).process, system_clock)


async def listens(device: Device) -> None:
    device.client.subscribe(device.topic("command"), 1)
    await asyncio.sleep(0.2)


async def test_command_reaches_its_device(
    link: Link, commands: Commands, bus: Bus, device: Device, nats_server: Nats
) -> None:
    await listens(device)
    caller = await open_bus(nats_server)
    await bus.answer(CommandRequest, commands.answer)
    request = command(device, times=3.0, fast=True)

    async with running(link):
        reply = await caller.call(request, CommandReply)
        await eventually(lambda: hears(device))
    await caller.close()

    assert reply.command_id == request.command_id
    (message,) = device.heard
    assert message.qos == 1
    content = json.loads(message.payload)
    assert datetime.fromisoformat(content.pop("expires_at")) > system_clock()
    assert content == {
        "id": str(request.command_id),
        "name": "blink",
        "arguments": {"times": 3.0, "fast": True},
    }


async def hears(device: Device) -> bool:
    return len(device.heard) > 0


async def test_command_to_a_device_that_is_not_there_is_a_conflict(
    link: Link, commands: Commands, device: Device, superuser: Connection
) -> None:
    async with running(link):
        with pytest.raises(Conflict, match="not connected"):
            await commands.answer(command(device))

    assert history(superuser, device) == [("not_sent", "the device is not connected")]


async def test_command_without_a_broker_is_unavailable(commands: Commands, device: Device) -> None:
    with pytest.raises(Unavailable):
        await commands.answer(command(device))


async def test_command_is_not_said_to_be_sent_when_the_broker_dies(
    link: Link, commands: Commands, device: Device, mosquitto: Mosquitto
) -> None:
    async with running(link):
        mosquitto.stop()
        with pytest.raises(Unavailable):
            await commands.answer(command(device))


@pytest.mark.parametrize("argument", [float("nan"), "x" * 20_000])
async def test_command_that_no_device_could_read_is_refused(
    commands: Commands, device: Device, argument: MetricValue
) -> None:
    with pytest.raises(Malformed):
        await commands.answer(command(device, argument=argument))


async def test_command_to_a_device_that_the_tenant_does_not_have_is_not_sent(
    commands: Commands, device: Device
) -> None:
    request = command(device).model_copy(update={"tenant_id": uuid4()})

    with pytest.raises(NotFound):
        await commands.answer(request)


async def test_answer_of_the_device_settles_its_command(
    link: Link, commands: Commands, bus: Bus, device: Device, superuser: Connection
) -> None:
    await listens(device)
    one, other = command(device), command(device)
    taking = asyncio.create_task(commands.run(bus))

    async with running(link):
        await commands.answer(one)
        await commands.answer(other)
        for request, more in ((one, {}), (other, {"ok": False, "result": "jammed"})):
            content = json.dumps({"id": str(request.command_id), **more}).encode()
            await asyncio.to_thread(device.publish, content, kind="command/ack")
        await eventually(lambda: settled(superuser, device))
    taking.cancel()

    assert history(superuser, device) == [("acknowledged", None), ("failed", "jammed")]


async def settled(superuser: Connection, device: Device) -> bool:
    return all(state not in {"asked", "sent"} for state, _ in history(superuser, device))


async def test_command_times_out_and_an_answer_after_its_time_changes_nothing(
    link: Link, commands: Commands, device: Device, superuser: Connection
) -> None:
    await listens(device)
    request = command(device).model_copy(update={"expires_in_seconds": 1})
    async with running(link):
        await commands.answer(request)
    assert await commands.sweep() == 0
    await asyncio.sleep(1.1)

    assert await commands.sweep() == 1
    assert await commands.settle_batch([answer(request, system_clock())]) == [Done()]
    assert history(superuser, device) == [("timed_out", None)]

    # One that was sent in time counts, however late it got here; another device's never does.
    in_time = system_clock() - timedelta(seconds=1)
    stranger = request.model_copy(update={"device_id": uuid4()})
    await commands.settle_batch([answer(stranger, in_time)])
    assert history(superuser, device) == [("timed_out", None)]
    await commands.settle_batch([answer(request, in_time)])
    assert history(superuser, device) == [("acknowledged", None)]


async def test_the_first_answer_stands_however_often_another_comes(
    link: Link, commands: Commands, device: Device, superuser: Connection
) -> None:
    await listens(device)
    request = command(device)
    async with running(link):
        await commands.answer(request)
    first, later = system_clock(), system_clock() + timedelta(seconds=1)

    await commands.settle_batch([answer(request, later, ok=False), answer(request, first)])
    await commands.settle_batch([answer(request, first), answer(request, later, ok=False)])
    await commands.settle_batch([answer(request, later, ok=False)])

    assert history(superuser, device) == [("acknowledged", None)]


def answer(request: CommandRequest, at: datetime, *, ok: bool = True) -> FakeMessage:
    said = CommandAcknowledgement(
        tenant_id=request.tenant_id,
        device_id=request.device_id,
        command_id=request.command_id,
        received_at=at,
        ok=ok,
    )
    return FakeMessage(said.to_bytes())
