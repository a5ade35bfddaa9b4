"""From a device to JetStream through a real broker: what is acknowledged, and what happens when a part dies."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING

import pytest
from nats.js.api import DiscardPolicy
from services.ingest_worker.tests.conftest import (
    all_messages,
    eventually,
    is_ready,
    open_bus,
    refused,
    running,
    stored,
    target,
)

from ingest_worker.link import Link
from ingest_worker.pipeline import Pipeline
from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from conftest import Nats
    from services.ingest_worker.tests.conftest import Device, Mosquitto

    from ingest_worker.domain import Inbound
    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio


def payloads(count: int) -> list[bytes]:
    now = int(system_clock().timestamp() * 1000)
    return [json.dumps({"ts": now, "metrics": {"number": n}}).encode() for n in range(count)]


@pytest.fixture
def link(mosquitto: Mosquitto, bus: Bus) -> Link:
    return Link(target(mosquitto.port), Pipeline(bus).process, system_clock)


async def numbers(bus: Bus) -> list[float]:
    found = await all_messages(bus, events.STREAM_TELEMETRY)
    readings = [events.Reading.model_validate_json(message.data or b"") for message in found]
    return sorted(float(reading.metrics["number"]) for reading in readings)


async def test_reading_is_stored_and_shown_live(link: Link, bus: Bus, device: Device) -> None:
    live: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()

    async def see(subject: str, data: bytes) -> None:
        live.put_nowait((subject, data))

    await bus.subscribe_live("pulse.live.*", see)
    async with running(link):
        await asyncio.to_thread(device.publish, payloads(1)[0])
        async with asyncio.timeout(10):
            subject, data = await live.get()

    (kept,) = await all_messages(bus, events.STREAM_TELEMETRY)
    assert subject == f"pulse.live.{device.tenant_id}"
    assert kept.subject == f"pulse.telemetry.{device.tenant_id}.{device.device_id}"
    assert kept.data == data
    reading = events.Reading.model_validate_json(data)
    assert (kept.headers or {})["Nats-Msg-Id"] == str(reading.message_id)
    assert (reading.tenant_id, reading.device_id) == (device.tenant_id, device.device_id)


async def test_batch_and_state_are_stored(link: Link, bus: Bus, device: Device) -> None:
    batch = b"[" + b",".join(payloads(100)) + b"]"

    async with running(link):
        await asyncio.to_thread(device.publish, batch)
        await asyncio.to_thread(device.publish, payloads(1)[0], kind="state")
        await eventually(lambda: holds(bus, 101))


async def holds(bus: Bus, count: int) -> bool:
    return await stored(bus) == count


async def test_same_message_published_twice_is_kept_once(
    link: Link, bus: Bus, device: Device
) -> None:
    (payload,) = payloads(1)

    async with running(link):
        await asyncio.to_thread(device.publish_many, [payload] * 5)
        await asyncio.to_thread(device.publish, b'{"metrics": {"number": 9}}')
        await eventually(lambda: holds(bus, 2))


async def test_refused_message_is_acknowledged_and_kept_with_its_reason(
    link: Link, bus: Bus, device: Device, mosquitto: Mosquitto
) -> None:
    async with running(link):
        await asyncio.to_thread(device.publish, b"{oops")
        await asyncio.to_thread(device.publish, b"x" * 70_000)
        await eventually(lambda: has_refused(bus, 2))
    left_over = await redelivered(mosquitto)

    first, second = await refused(bus)
    assert (first.reason, second.reason) == ("not_json", "too_large")
    assert (first.tenant_id, first.device_id) == (device.tenant_id, device.device_id)
    assert base64.b64decode(first.payload_base64) == b"{oops"
    assert second.size_bytes == 70_000
    assert len(base64.b64decode(second.payload_base64)) == 4096
    (kept, _) = await all_messages(bus, events.STREAM_REFUSED)
    assert kept.subject == f"pulse.refused.{device.tenant_id}"
    assert left_over == []


async def has_refused(bus: Bus, count: int) -> bool:
    return await stored(bus, events.STREAM_REFUSED) == count


async def redelivered(mosquitto: Mosquitto) -> list[bytes]:
    """Resume the session with a worker that stores nothing, and return what the broker still holds for it."""
    seen: list[bytes] = []

    async def remember(message: Inbound) -> None:
        seen.append(message.payload)
        await asyncio.Event().wait()

    again = Link(target(mosquitto.port), remember, system_clock)
    serving = asyncio.create_task(again.run())
    await asyncio.sleep(0.5)
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)
    return seen


async def answers(bus: Bus) -> bool:
    try:
        await bus.check()
    except Unavailable:
        return False
    return True


async def test_nothing_is_acknowledged_while_jetstream_is_away(
    link: Link, nats_server: Nats, bus: Bus, device: Device, mosquitto: Mosquitto
) -> None:
    wanted = payloads(50)

    serving = asyncio.create_task(link.run())
    await eventually(lambda: is_ready(link))
    nats_server.kill()
    await asyncio.to_thread(device.publish_many, wanted)
    await asyncio.sleep(0.5)
    serving.cancel()  # a crash: no DISCONNECT, nothing settled
    await asyncio.gather(serving, return_exceptions=True)
    left_over = await redelivered(mosquitto)
    nats_server.start()
    await eventually(lambda: answers(bus))

    assert sorted(left_over) == sorted(wanted)


@pytest.mark.timeout(60)
async def test_killed_jetstream_loses_and_doubles_nothing(
    link: Link, nats_server: Nats, bus: Bus, device: Device
) -> None:
    count = 2000

    async with running(link):
        publishing = asyncio.create_task(asyncio.to_thread(device.publish_many, payloads(count)))
        await eventually(lambda: holds_some(bus))
        nats_server.kill()
        await asyncio.sleep(0.5)
        nats_server.start()
        await publishing
        await eventually(lambda: holds(bus, count), 40)
        await asyncio.sleep(0.2)

    assert await numbers(bus) == list(range(count))


async def holds_some(bus: Bus) -> bool:
    return await stored(bus) > 50


async def test_restarted_broker_loses_and_doubles_nothing(
    link: Link, bus: Bus, device: Device, mosquitto: Mosquitto
) -> None:
    count = 1000

    async with running(link):
        publishing = asyncio.create_task(asyncio.to_thread(device.publish_many, payloads(count)))
        await eventually(lambda: holds_some(bus))
        device.may_connect.clear()
        await asyncio.to_thread(mosquitto.stop)
        await eventually(lambda: is_away(link))
        mosquitto.start()
        await eventually(lambda: is_ready(link))
        device.may_connect.set()
        await publishing
        await eventually(lambda: holds(bus, count))

    assert await numbers(bus) == list(range(count))


async def is_away(link: Link) -> bool:
    return not await is_ready(link)


async def test_messages_wait_for_a_worker_that_left(
    link: Link, nats_server: Nats, bus: Bus, device: Device, mosquitto: Mosquitto
) -> None:
    async with running(link):
        pass
    await asyncio.to_thread(device.publish_many, payloads(20))

    second_bus = await open_bus(nats_server)
    async with running(Link(target(mosquitto.port), Pipeline(second_bus).process, system_clock)):
        await eventually(lambda: holds(bus, 20))
    await second_bus.close()


async def test_two_replicas_share_the_work(
    link: Link, bus: Bus, device: Device, mosquitto: Mosquitto
) -> None:
    seen: list[bytes] = []

    async def count(message: Inbound) -> None:
        seen.append(message.payload)
        await Pipeline(bus).process(message)

    other = Link(target(mosquitto.port, "ingest-other"), count, system_clock)
    async with running(link), running(other):
        await asyncio.to_thread(device.publish_many, payloads(200))
        await eventually(lambda: holds(bus, 200))

    assert 0 < len(seen) < 200


async def test_full_stream_acknowledges_nothing_and_loses_nothing(
    link: Link, bus: Bus, device: Device
) -> None:
    config = (await bus.jetstream.stream_info(events.STREAM_TELEMETRY)).config
    config.max_msgs, config.discard = 10, DiscardPolicy.NEW
    await bus.jetstream.update_stream(config)

    async with running(link):
        await asyncio.to_thread(device.publish_many, payloads(30))
        await eventually(lambda: holds(bus, 10))
        await asyncio.sleep(0.5)
        assert await stored(bus) == 10
        config.max_msgs = -1
        await bus.jetstream.update_stream(config)
        await eventually(lambda: holds(bus, 30))

    assert await numbers(bus) == [float(n) for n in range(30)]
