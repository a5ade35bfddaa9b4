"""A plan's messages of a month: exact for one replica, agreeing with billing's count, and new with the month."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ingest_worker.tests.conftest import stored
from services.ingest_worker.tests.test_limits import TENANT, receipts_of, sent

from ingest_worker.buckets import Buckets
from ingest_worker.months import FORGET_SECONDS, FRESH_SECONDS, Months, reader
from ingest_worker.pipeline import Pipeline
from ingest_worker.plans import Plans
from ingest_worker.receipts import Receipts
from ingest_worker.toll import Toll
from pulse_common.clock import system_clock
from pulse_common.entitlements import Entitlements
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    import psycopg

    from pulse_common.bus import Bus
    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio
LIMIT = 100


@dataclass
class Rig:
    counted: int | None = 0
    now: datetime = datetime(2026, 2, 27, 12, tzinfo=UTC)
    seconds: float = 0.0
    tenant: UUID = field(default_factory=uuid4)
    asked: list[date] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.months = Months(self.read, lambda: self.now, lambda: self.seconds)

    async def read(self, _: UUID, begins: date) -> int:
        self.asked.append(begins)
        if self.counted is None:
            raise Unavailable("away")
        return self.counted

    async def take(self, messages: int = 1) -> timedelta | None:
        wait = self.months.take(self.tenant, LIMIT, messages)
        await self.months.settled()
        return wait

    async def taken(self, most: int = 1000) -> int:
        """Take one by one until there is no more, and return how many that were."""
        for number in range(most):
            if await self.take() is not None:
                return number
        return most


async def test_one_replica_lets_through_just_what_the_plan_says_and_says_until_when() -> None:
    rig = Rig()

    assert await rig.taken() == LIMIT
    assert await rig.take() == timedelta(days=1, hours=12)


async def test_two_replicas_let_through_what_came_within_thirty_seconds_more_and_then_nothing() -> (
    None
):
    tenant = uuid4()
    replicas = [Rig(tenant=tenant), Rig(tenant=tenant)]
    passed = 0

    for second in range(300):
        for each in replicas:
            each.seconds, each.counted = (
                float(second),
                passed,
            )  # stored at once, and counted with it
            passed += await each.take() is None

    assert LIMIT <= passed <= LIMIT + len(replicas) * 30


async def test_a_batch_that_does_not_fit_takes_nothing() -> None:
    rig = Rig()
    await rig.take(99)

    assert await rig.take(2) is not None
    assert await rig.take(1) is None


async def test_what_billing_has_counted_is_not_counted_twice() -> None:
    rig = Rig()
    assert await rig.take(60) is None
    for counted in (20, 60, 60):
        rig.counted = counted
        rig.seconds += FRESH_SECONDS
        await rig.take(0)

    assert await rig.taken() == 40


async def test_after_a_restart_what_billing_has_counted_counts() -> None:
    rig = Rig(counted=97)
    await rig.take(0)

    assert await rig.taken() == 3


async def test_what_billing_never_counts_is_let_go() -> None:
    rig = Rig()
    await rig.take(100)
    assert await rig.take() is not None

    rig.seconds += FORGET_SECONDS + 1
    await rig.take(0)

    assert await rig.taken() == LIMIT


async def test_a_new_month_begins_with_nothing() -> None:
    rig = Rig()
    await rig.taken()
    rig.now = datetime(2026, 3, 1, tzinfo=UTC)

    assert await rig.taken() == LIMIT
    assert set(rig.asked) == {date(2026, 2, 1), date(2026, 3, 1)}
    assert await rig.take() == timedelta(days=31)


async def test_while_the_count_cannot_be_read_the_last_one_holds() -> None:
    rig = Rig(counted=90)
    await rig.take(0)
    rig.counted = None
    rig.seconds += FRESH_SECONDS

    assert await rig.taken() == 10


@pytest.mark.parametrize(("limits", "kept"), [("hard", 3), ("soft", 5)])
async def test_only_a_hard_plan_drops_what_is_over_its_month_with_a_receipt(
    bus: Bus, database: Database, superuser: psycopg.Connection, limits: str, kept: int
) -> None:
    superuser.execute("DELETE FROM limit_receipts WHERE tenant_id = %s", [TENANT])
    superuser.execute("DELETE FROM billing_usage WHERE tenant_id = %s", [TENANT])
    superuser.execute(
        "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'x') ON CONFLICT DO NOTHING", [TENANT]
    )
    superuser.execute(
        "INSERT INTO billing_usage (tenant_id, metric, day, amount) VALUES (%s, 'messages', %s, 7)",
        [TENANT, system_clock().date()],
    )
    plan = Entitlements(version=1, messages_per_month=10, hard_limits=limits == "hard")

    async def read(_: UUID) -> Entitlements:
        return plan

    plans, receipts = Plans(read), Receipts(database, system_clock)
    months = Months(reader(database), system_clock)
    plans.of(TENANT)
    await plans.settled()
    months.take(TENANT, 10, 0)
    await months.settled()
    pipeline = Pipeline(bus, Toll(Buckets(), plans, receipts, months=months))

    for number in range(5):
        await pipeline.process(sent(number))
    await receipts.flush()

    assert await stored(bus) == kept
    dropped = [(None, "tenant_month", "dropped", 2)] if limits == "hard" else []
    assert receipts_of(superuser) == dropped
