"""Commands: to one device, over a real broker, answered when the broker has them."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ingest_worker.tests.conftest import eventually, open_bus, running, target

from ingest_worker.commands import Commands
from ingest_worker.link import Link
from ingest_worker.pipeline import Pipeline
from pulse_common.clock import system_clock
from pulse_common.errors import Conflict, Malformed, Unavailable
from pulse_common.events import CommandReply, CommandRequest, MetricValue

if TYPE_CHECKING:
    from conftest import Nats
    from services.ingest_worker.tests.conftest import Device, Mosquitto

    from pulse_common.bus import Bus

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
def link(mosquitto: Mosquitto, bus: Bus) -> Link:
    return Link(target(mosquitto.port), Pipeline(bus).process, system_clock)


async def listens(device: Device) -> None:
    device.client.subscribe(device.topic("command"), 1)
    await asyncio.sleep(0.2)


async def test_command_reaches_its_device(
    link: Link, bus: Bus, device: Device, nats_server: Nats
) -> None:
    await listens(device)
    caller = await open_bus(nats_server)
    await bus.answer(CommandRequest, Commands(link).answer)
    request = command(device, times=3.0, fast=True)

    async with running(link):
        reply = await caller.call(request, CommandReply)
        await eventually(lambda: hears(device))
    await caller.close()

    assert reply.command_id == request.command_id
    (message,) = device.heard
    assert message.qos == 1
    assert json.loads(message.payload) == {
        "id": str(request.command_id),
        "name": "blink",
        "arguments": {"times": 3.0, "fast": True},
    }


async def hears(device: Device) -> bool:
    return len(device.heard) > 0


async def test_command_to_a_device_that_is_not_there_is_a_conflict(
    link: Link, device: Device
) -> None:
    async with running(link):
        with pytest.raises(Conflict, match="not connected"):
            await Commands(link).answer(command(device))


async def test_command_without_a_broker_is_unavailable(link: Link, device: Device) -> None:
    with pytest.raises(Unavailable):
        await Commands(link).answer(command(device))


async def test_command_is_not_said_to_be_sent_when_the_broker_dies(
    link: Link, device: Device, mosquitto: Mosquitto
) -> None:
    async with running(link):
        mosquitto.stop()
        with pytest.raises(Unavailable):
            await Commands(link).answer(command(device))


@pytest.mark.parametrize("argument", [float("nan"), "x" * 20_000])
async def test_command_that_no_device_could_read_is_refused(
    link: Link, device: Device, argument: MetricValue
) -> None:
    with pytest.raises(Malformed):
        await Commands(link).answer(command(device, argument=argument))
