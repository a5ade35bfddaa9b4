"""What is shown live: everything while there is little, each device's newest under load."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast
from uuid import uuid4

import pytest
from services.ingest_worker.tests.test_writer import NOON, Owner

from ingest_worker.live import AT_ONCE_A_SECOND, Live
from pulse_common.events import Reading

if TYPE_CHECKING:
    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio


class FakeBus:
    def __init__(self) -> None:
        self.shown: list[Reading] = []

    async def publish_live(self, _: str, data: bytes) -> None:
        self.shown.append(Reading.model_validate_json(data))


async def test_under_load_each_device_shows_its_newest_and_others_tenants_everything() -> None:
    bus = FakeBus()
    live = Live(cast("Bus", bus), lambda: 0.0)
    loud, quiet = Owner(), Owner()

    for number in range(1000):
        reading = loud.reading(NOON, number=number)
        await live.show(reading, reading.to_bytes())
    reading = quiet.reading()
    await live.show(reading, reading.to_bytes())
    at_once = len(bus.shown)
    await live.flush()
    await live.flush()

    assert at_once == AT_ONCE_A_SECOND + 1
    assert len(bus.shown) == at_once + 1
    assert bus.shown[-1].metrics == {"number": 999}


async def test_late_reading_does_not_hide_a_newer_one() -> None:
    bus = FakeBus()
    live = Live(cast("Bus", bus), lambda: 0.0)
    tenant = uuid4()
    for _ in range(AT_ONCE_A_SECOND):
        filler = Owner(tenant).reading()
        await live.show(filler, filler.to_bytes())
    owner = Owner(tenant)

    for seconds in (5, 3):
        reading = owner.reading(NOON.replace(second=seconds))
        await live.show(reading, reading.to_bytes())
    await live.flush()

    assert bus.shown[-1].ts == NOON.replace(second=5)
