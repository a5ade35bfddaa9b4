"""In which order messages are acknowledged, and which never are."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from ingest_worker import intake as intake_module
from ingest_worker.broker import Packet
from ingest_worker.intake import MOST_IN_FLIGHT, Intake
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from ingest_worker.domain import Inbound

pytestmark = pytest.mark.anyio


class FakeLine:
    def __init__(self) -> None:
        self.acknowledged: list[int] = []
        self.reading = True

    def acknowledge(self, packet_id: int) -> None:
        self.acknowledged.append(packet_id)

    def pause(self) -> None:
        self.reading = False

    def resume(self) -> None:
        self.reading = True


class FakeStream:
    """Stores a message when the test says so."""

    def __init__(self) -> None:
        self.waiting: dict[bytes, list[asyncio.Event]] = {}
        self.taken: list[bytes] = []

    async def process(self, message: Inbound) -> None:
        self.taken.append(message.payload)
        stored = asyncio.Event()
        self.waiting.setdefault(message.payload, []).append(stored)
        await stored.wait()

    async def store(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.waiting[payload].pop(0).set()
        await settle()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def packet(payload: bytes, packet_id: int, *, dup: bool = False, qos: int = 1) -> Packet:
    return Packet(topic="t", payload=payload, qos=qos, packet_id=packet_id, dup=dup)


class Rig:
    def __init__(self) -> None:
        self.line = FakeLine()
        self.stream = FakeStream()
        self.intake = Intake(self.line, self.stream.process, system_clock)

    async def take(self, *packets: Packet) -> None:
        for each in packets:
            self.intake.take(each)
        await settle()


@pytest.fixture
def rig() -> Rig:
    return Rig()


async def test_nothing_is_acknowledged_before_it_is_stored(rig: Rig) -> None:
    await rig.take(packet(b"a", 1), packet(b"b", 2))

    assert rig.stream.taken == [b"a", b"b"]
    assert rig.line.acknowledged == []


async def test_acknowledgements_go_out_in_the_order_of_arrival(rig: Rig) -> None:
    await rig.take(packet(b"a", 7), packet(b"b", 3), packet(b"c", 5))

    await rig.stream.store(b"b", b"c")
    assert rig.line.acknowledged == []
    await rig.stream.store(b"a")

    assert rig.line.acknowledged == [7, 3, 5]


async def test_repeat_of_a_message_in_work_is_worked_on_once(rig: Rig) -> None:
    await rig.take(packet(b"a", 1), packet(b"a", 1, dup=True))

    await rig.stream.store(b"a")

    assert rig.stream.taken == [b"a"]
    assert rig.line.acknowledged == [1]


async def test_repeat_that_crossed_its_acknowledgement_is_not_acknowledged_again(rig: Rig) -> None:
    await rig.take(packet(b"a", 1))
    await rig.stream.store(b"a")

    await rig.take(packet(b"a", 1, dup=True))

    assert rig.stream.taken == [b"a"]
    assert rig.line.acknowledged == [1]


async def test_redelivery_after_a_reconnect_is_taken(rig: Rig) -> None:
    await rig.take(packet(b"a", 1, dup=True))

    await rig.stream.store(b"a")

    assert rig.line.acknowledged == [1]


async def test_other_message_under_a_used_id_is_taken(rig: Rig) -> None:
    await rig.take(packet(b"a", 1))
    await rig.stream.store(b"a")

    await rig.take(packet(b"b", 1, dup=True))
    await rig.stream.store(b"b")

    assert rig.line.acknowledged == [1, 1]


async def test_late_work_never_acknowledges_the_next_message_under_its_id(rig: Rig) -> None:
    await rig.take(packet(b"old", 1), packet(b"new", 1))

    await rig.stream.store(b"old")
    assert rig.line.acknowledged == []
    await rig.stream.store(b"new")

    assert rig.line.acknowledged == [1]


async def test_nothing_is_acknowledged_once_the_connection_is_over(rig: Rig) -> None:
    await rig.take(packet(b"a", 1), packet(b"b", 2))

    await rig.stream.store(b"a")
    rig.intake.end()
    await rig.stream.store(b"b")
    await rig.take(packet(b"c", 3))

    assert rig.line.acknowledged == [1]
    assert rig.stream.taken == [b"a", b"b"]


async def test_reading_stops_at_the_bound_and_goes_on_at_half_of_it(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert MOST_IN_FLIGHT >= 500
    monkeypatch.setattr(intake_module, "MOST_IN_FLIGHT", 4)

    await rig.take(*(packet(b"%d" % n, n) for n in range(1, 5)))
    stopped = not rig.line.reading
    await rig.stream.store(b"1")
    still_stopped = not rig.line.reading
    await rig.stream.store(b"2")

    assert stopped
    assert still_stopped
    assert rig.line.reading


async def test_flood_without_quality_of_service_is_dropped(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake_module, "MOST_IN_FLIGHT", 4)

    await rig.take(*(packet(b"%d" % n, 0, qos=0) for n in range(10)), packet(b"kept", 1))

    assert rig.stream.taken == [b"0", b"1", b"2", b"3", b"kept"]


async def test_draining_waits_for_what_is_in_flight_and_takes_no_more(rig: Rig) -> None:
    await rig.take(packet(b"a", 1))

    draining = asyncio.create_task(rig.intake.drain(5))
    await settle()
    assert not rig.line.reading
    assert not draining.done()
    await rig.stream.store(b"a")
    await draining

    assert rig.line.acknowledged == [1]
    assert not rig.line.reading


async def test_draining_gives_up_in_time(rig: Rig) -> None:
    await rig.take(packet(b"a", 1))

    await rig.intake.drain(0.01)

    assert rig.line.acknowledged == []


async def test_crash_in_the_work_acknowledges_nothing() -> None:
    async def crash(_: Inbound) -> None:
        raise RuntimeError("a bug")

    line = FakeLine()
    intake = Intake(line, crash, system_clock)

    intake.take(packet(b"a", 1))
    await settle()

    assert line.acknowledged == []
