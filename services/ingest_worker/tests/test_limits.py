"""What is over a plan's limit: counted, kept for later or dropped, written down, and told to the device."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ingest_worker.tests.conftest import eventually, stored

from ingest_worker.buckets import Buckets, Over
from ingest_worker.domain import Inbound, Origin
from ingest_worker.late import Late
from ingest_worker.pipeline import Pipeline
from ingest_worker.plans import Plans
from ingest_worker.receipts import Receipts
from ingest_worker.toll import Toll
from pulse_common.clock import system_clock
from pulse_common.entitlements import UNLIMITED, Entitlements
from pulse_common.errors import Unavailable
from pulse_common.events import STREAM_LATE, STREAM_TELEMETRY

if TYPE_CHECKING:
    import psycopg

    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database

TENANT, DEVICE = uuid4(), uuid4()
HARD = Entitlements(version=1, plan="free", messages_per_second=10, hard_limits=True)
SOFT = Entitlements(version=1, plan="business", messages_per_second=10, hard_limits=False)


def take(
    buckets: Buckets, now: float, messages: int = 1, size_bytes: int = 0, device: UUID = DEVICE
) -> Over | None:
    return buckets.take(TENANT, device, HARD, messages=messages, size_bytes=size_bytes, now=now)


def test_device_has_a_burst_then_its_share_of_the_rate() -> None:
    buckets = Buckets()

    assert take(buckets, 0.0, messages=100) is None
    assert take(buckets, 0.0) == Over("device_messages", 0.2)
    assert take(buckets, 0.2) is None
    assert take(buckets, 0.3) is not None


def test_tenant_has_the_plans_rate_whichever_devices_send() -> None:
    buckets = Buckets()

    for _ in range(100):
        assert take(buckets, 0.0, device=uuid4()) is None

    over = take(buckets, 0.0, device=uuid4())
    assert over == Over("tenant_messages", 0.1)


def test_two_replicas_hold_each_device_exactly_and_the_tenant_to_twice_its_rate() -> None:
    """As the broker shares out: all messages of one client come to one replica."""
    replicas = [Buckets(), Buckets()]
    passed: Counter[int] = Counter()

    for second in range(60):
        for device in range(4):
            for _ in range(20):
                name = UUID(int=device)
                if take(replicas[device % 2], float(second), device=name) is None:
                    passed[device] += 1

    of_plan = 100 + 59 * 10
    assert max(passed.values()) <= 100 + 59 * 5
    assert of_plan < sum(passed.values()) <= 2 * of_plan


@pytest.mark.anyio
async def test_a_changed_plan_holds_at_every_replica_within_four_seconds() -> None:
    now, plan = 0.0, UNLIMITED

    async def read(_: UUID) -> Entitlements:
        return plan

    replicas = [Plans(read, lambda: now) for _ in range(2)]
    for each in replicas:
        each.of(TENANT)
        await each.settled()

    plan, now = HARD, 4.0
    for each in replicas:
        each.of(TENANT)
        await each.settled()

    assert [each.of(TENANT) for each in replicas] == [HARD, HARD]


def test_bytes_are_limited_too_and_the_largest_message_fits() -> None:
    buckets = Buckets()

    assert take(buckets, 0.0, size_bytes=65_536) is None
    assert take(buckets, 0.0, size_bytes=65_536) is None
    over = take(buckets, 0.0, size_bytes=65_536)
    assert over is not None
    assert over.bucket == "device_bytes"


def test_what_is_refused_by_one_bucket_takes_from_no_other() -> None:
    buckets = Buckets()
    take(buckets, 0.0, messages=100)  # the device's bucket, and the tenant's, are empty

    assert all(take(buckets, 10.0, messages=101) for _ in range(50))
    assert take(buckets, 10.0, messages=50) is None


def test_clock_that_goes_back_fills_nothing() -> None:
    buckets = Buckets()
    take(buckets, 100.0, messages=100)

    assert take(buckets, 0.0) is not None


def test_without_a_limit_nothing_is_counted() -> None:
    buckets = Buckets()

    for _ in range(10_000):
        assert not buckets.take(TENANT, DEVICE, UNLIMITED, messages=99, size_bytes=9**9, now=0)


@pytest.mark.anyio
async def test_plan_is_known_after_the_first_look_and_kept_while_it_cannot_be_read() -> None:
    now, away = 0.0, False

    async def read(_: UUID) -> Entitlements:
        if away:
            raise Unavailable("away")
        return HARD

    plans = Plans(read, lambda: now)
    assert plans.of(TENANT) == UNLIMITED
    await plans.settled()
    assert plans.of(TENANT) == HARD

    now, away = 10.0, True
    plans.of(TENANT)
    await plans.settled()
    assert plans.of(TENANT) == HARD


async def toll_of(plan: Entitlements, receipts: Receipts) -> tuple[Toll, Buckets, Plans]:
    async def read(_: UUID) -> Entitlements:
        return plan

    plans, buckets = Plans(read), Buckets()
    plans.of(TENANT)
    await plans.settled()
    return Toll(buckets, plans, receipts), buckets, plans


def sent(number: int, device: UUID = DEVICE, *, age: timedelta = timedelta(0)) -> Inbound:
    now = system_clock()
    content = {"ts": int((now - age).timestamp() * 1000), "metrics": {"number": number}}
    topic = f"tenant/{TENANT}/device/{device}/telemetry"
    return Inbound(topic, json.dumps(content).encode(), now)


def receipts_of(superuser: psycopg.Connection) -> list[tuple[object, ...]]:
    return superuser.execute(
        "SELECT device_id, bucket, outcome, messages FROM limit_receipts WHERE tenant_id = %s",
        [TENANT],
    ).fetchall()


class FakeLink:
    def __init__(self) -> None:
        self.published: list[tuple[str, dict[str, object]]] = []

    async def publish(self, topic: str, payload: bytes) -> None:
        self.published.append((topic, json.loads(payload)))


@pytest.mark.anyio
async def test_hard_plan_drops_what_is_over_with_a_receipt_that_the_device_hears(
    bus: Bus, database: Database, superuser: psycopg.Connection
) -> None:
    superuser.execute("DELETE FROM limit_receipts WHERE tenant_id = %s", [TENANT])
    receipts, link = Receipts(database, system_clock), FakeLink()
    toll, _, _ = await toll_of(HARD, receipts)
    pipeline = Pipeline(bus, toll)

    for number in range(150):
        await pipeline.process(sent(number))
    await receipts.flush()
    await receipts.flush()
    await receipts.tell(link)
    await receipts.tell(link)

    kept = await stored(bus)
    assert 100 <= kept < 120
    assert receipts_of(superuser) == [(DEVICE, "device_messages", "dropped", 150 - kept)]
    ((topic, said),) = link.published
    assert topic == f"tenant/{TENANT}/device/{DEVICE}/limits"
    assert (said["bucket"], said["outcome"]) == ("device_messages", "dropped")
    assert said["messages"] == 150 - kept
    assert {"since", "refills_at"} <= said.keys()


@pytest.mark.anyio
async def test_device_hears_the_last_count_of_a_flood_that_was_short(database: Database) -> None:
    now = system_clock()
    receipts, link = Receipts(database, lambda: now), FakeLink()
    over = Over("device_messages", 1.5)
    origin = Origin(TENANT, DEVICE, "telemetry")
    for _ in range(3):
        receipts.note(origin, over, "dropped", messages=1, size_bytes=10)
        await receipts.tell(link)
        now += timedelta(seconds=1)

    for _ in range(2):
        now += timedelta(seconds=10)
        await receipts.tell(link)

    assert [said["messages"] for _, said in link.published] == [1, 3]


@pytest.mark.anyio
async def test_soft_plan_keeps_what_is_over_and_drains_it_when_there_is_room(
    bus: Bus, database: Database, superuser: psycopg.Connection
) -> None:
    superuser.execute("DELETE FROM limit_receipts WHERE tenant_id = %s", [TENANT])
    receipts = Receipts(database, system_clock)
    toll, buckets, plans = await toll_of(SOFT, receipts)
    pipeline = Pipeline(bus, toll)

    for number in range(120):
        await pipeline.process(sent(number))
    await receipts.flush()
    waiting = await stored(bus, STREAM_LATE)
    draining = asyncio.create_task(Late(bus, buckets, plans).run_overflow())

    async def all_in() -> bool:
        return await stored(bus, STREAM_TELEMETRY) == 120

    assert waiting > 0
    assert receipts_of(superuser) == [(DEVICE, "device_messages", "deferred", waiting)]
    await eventually(all_in)
    draining.cancel()


@pytest.mark.anyio
async def test_full_overflow_drops_with_a_receipt_and_no_other_tenant_notices(
    bus: Bus, database: Database, superuser: psycopg.Connection
) -> None:
    superuser.execute("DELETE FROM limit_receipts WHERE tenant_id = %s", [TENANT])
    config = (await bus.jetstream.stream_info(STREAM_LATE)).config
    config.max_msgs_per_subject = 5
    await bus.jetstream.update_stream(config)
    receipts = Receipts(database, system_clock)
    toll, _, _ = await toll_of(SOFT, receipts)
    pipeline = Pipeline(bus, toll)

    for number in range(120):
        await pipeline.process(sent(number))
    await receipts.flush()

    outcomes = {outcome: messages for _, _, outcome, messages in receipts_of(superuser)}
    assert outcomes["deferred"] == 5
    assert await stored(bus) + 5 + int(str(outcomes["dropped"])) == 120
    other = f"pulse.late.overflow.{uuid4()}"
    assert await bus.publish_if_room(other, b"x", message_id="x")


@pytest.mark.anyio
async def test_readings_of_long_ago_wait_behind_live_ones_and_come_in_by_and_by(bus: Bus) -> None:
    pipeline = Pipeline(bus)
    batch = [sent(number, age=timedelta(hours=1)) for number in range(60)]

    for message in batch:
        await pipeline.process(message)
    await pipeline.process(sent(99))

    assert await stored(bus) == 1
    draining = asyncio.create_task(Late(bus, Buckets(), Plans(unlimited)).run_backfill())

    async def all_in() -> bool:
        return await stored(bus) == 61 and await stored(bus, STREAM_LATE) == 0

    await eventually(all_in)
    draining.cancel()


async def unlimited(_: UUID) -> Entitlements:
    return UNLIMITED


@pytest.mark.anyio
async def test_flood_over_a_hard_limit_is_not_even_read(bus: Bus, database: Database) -> None:
    receipts = Receipts(database, system_clock)
    toll, _, _ = await toll_of(HARD, receipts)
    pipeline = Pipeline(bus, toll)
    toll.charge(Origin(TENANT, DEVICE, "telemetry"), messages=100, size_bytes=0)

    await pipeline.process(Inbound(sent(0).topic, b"{nonsense", system_clock()))

    assert await stored(bus, "REFUSED") == 0
