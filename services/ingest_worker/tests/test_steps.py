"""Somebody sets the machine's clock: devices' times stay acceptable, and nothing acknowledged is refused for it."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from services.ingest_worker.tests.conftest import eventually, running, stored, target

from ingest_worker.link import Link
from ingest_worker.pipeline import Pipeline
from ingest_worker.steps import BELIEVED_SECONDS, ZERO, Steps
from pulse_common import events
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from services.ingest_worker.tests.conftest import Device, Mosquitto

    from pulse_common.bus import Bus

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Watches:
    """A wall clock that somebody sets, and a stopwatch that nobody can."""

    def __init__(self) -> None:
        self.wall, self.passed = NOON, 0.0

    def wait(self, seconds: float, *, runs: float = 1.0) -> None:
        self.passed += seconds
        self.wall += timedelta(seconds=seconds * runs)


@pytest.fixture
def watches() -> Watches:
    return Watches()


@pytest.fixture
def steps(watches: Watches) -> Steps:
    made = Steps(lambda: watches.passed)
    made.look(watches.wall)
    return made


@pytest.mark.parametrize("step", [HOUR, -HOUR])
def test_step_is_what_the_clock_may_be_off(watches: Watches, steps: Steps, step: timedelta) -> None:
    watches.wait(10)
    watches.wall += step

    steps.look(watches.wall)

    assert steps.leeway == HOUR


def test_clock_that_is_slewed_is_no_step(watches: Watches, steps: Steps) -> None:
    for _ in range(1000):
        watches.wait(30, runs=1.0005)  # the most that ntpd does
        steps.look(watches.wall)

    assert steps.leeway == ZERO


def test_clock_that_is_set_right_again_is_believed_at_once(watches: Watches, steps: Steps) -> None:
    watches.wall += HOUR
    steps.look(watches.wall)
    watches.wall -= HOUR

    steps.look(watches.wall)

    assert steps.leeway == ZERO


def test_clock_that_stays_where_it_was_set_is_believed_in_the_end(
    watches: Watches, steps: Steps
) -> None:
    watches.wall += HOUR
    steps.look(watches.wall)
    watches.wait(BELIEVED_SECONDS - 1)
    steps.look(watches.wall)
    before = steps.leeway
    watches.wait(1)

    steps.look(watches.wall)

    assert (before, steps.leeway) == (HOUR, ZERO)


@pytest.mark.anyio
@pytest.mark.parametrize("step", [HOUR, -HOUR])
async def test_step_under_the_flow_loses_and_doubles_nothing(
    mosquitto: Mosquitto, bus: Bus, device: Device, step: timedelta
) -> None:
    count, off = 600, ZERO
    now = int(system_clock().timestamp() * 1000)
    wanted = [json.dumps({"ts": now, "metrics": {"number": n}}).encode() for n in range(count)]
    link = Link(target(mosquitto.port), Pipeline(bus).process, lambda: system_clock() + off)

    async with running(link):
        await asyncio.to_thread(device.publish_many, wanted[:200])
        off = step
        await asyncio.to_thread(device.publish_many, wanted[200:])
        await asyncio.to_thread(device.publish_many, wanted[:100])  # as a redelivery would be
        await eventually(lambda: _holds(bus, count))

    assert await stored(bus, events.STREAM_REFUSED) == 0
    assert await stored(bus, events.STREAM_LATE) == 0
    assert await stored(bus) == count


async def _holds(bus: Bus, count: int) -> bool:
    return await stored(bus) >= count
