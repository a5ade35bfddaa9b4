"""What the gate may still believe: nothing that was invalidated, missed, too old, or never good."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.mqtt_authz.tests.conftest import Names, issue

from mqtt_authz import loading, standings
from mqtt_authz.certificate import DeviceCertificate, read_certificate
from mqtt_authz.domain import Standing
from mqtt_authz.loading import RETRY_SECONDS
from mqtt_authz.standings import AWAY_SECONDS, FRESH_SECONDS, Standings
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio
ISSUER = uuid4()


class World:
    """A database in memory that may be slow or away, a clock, and ears."""

    def __init__(self, most: int = 100) -> None:
        self.rows: dict[bytes, Standing] = {}
        self.asked: list[list[bytes]] = []
        self.now = 1000.0
        self.stretch: int | None = 0
        self.trouble: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()
        self.standings = Standings(
            load=self.load, hearing=lambda: self.stretch, monotonic=lambda: self.now, most=most
        )

    async def load(self, fingerprints: Sequence[bytes]) -> dict[bytes, Standing]:
        self.asked.append(list(fingerprints))
        if self.trouble:
            raise self.trouble
        seen = {f: self.rows[f] for f in fingerprints if f in self.rows}
        await self.gate.wait()  # after the look: what it answers may be old by then
        return seen

    def device(self) -> DeviceCertificate:
        holder = read_certificate(issue(Names()))
        self.rows[holder.fingerprint] = Standing(
            tenant=holder.tenant,
            device=holder.device,
            issuer=ISSUER,
            certificate_valid=True,
            issuer_active=True,
            device_active=True,
            tenant_active=True,
        )
        return holder

    def worsen(self, holder: DeviceCertificate) -> None:
        row = self.rows[holder.fingerprint]
        self.rows[holder.fingerprint] = replace(row, certificate_valid=False)

    async def good(self, holder: DeviceCertificate) -> bool:
        """Whether the gate would let it in, asking as a CONNECT does."""
        known = self.standings.recall(holder.fingerprint)
        standing = known.standing if known else await self.standings.find(holder)
        return standing is not None and standing.good

    def remembers(self, holder: DeviceCertificate) -> bool:
        return self.standings.recall(holder.fingerprint) is not None


@pytest.fixture
def world() -> World:
    return World()


async def test_known_device_is_asked_for_once(world: World) -> None:
    holder = world.device()
    world.standings.recall(holder.fingerprint)

    assert [await world.good(holder) for _ in range(5)] == [True] * 5
    assert len(world.asked) == 1


async def test_thousand_connects_of_one_device_are_one_question(world: World) -> None:
    holder = world.device()
    world.gate.clear()
    waiting = [asyncio.create_task(world.good(holder)) for _ in range(1000)]
    await asyncio.sleep(0.01)
    world.gate.set()

    assert all(await asyncio.gather(*waiting))
    assert len(world.asked) == 1


async def test_herd_of_devices_shares_its_questions(world: World) -> None:
    holders = [replace(world.device(), fingerprint=bytes([n])) for n in range(200)]
    world.rows = {h.fingerprint: next(iter(world.rows.values())) for h in holders}

    await asyncio.gather(*(world.standings.find(h) for h in holders))

    assert sum(map(len, world.asked)) == 200
    assert len(world.asked) <= 2


@pytest.mark.parametrize("about", ["device", "tenant", "issuer", "all"])
async def test_event_ends_what_is_remembered(world: World, about: str) -> None:
    holder, other = world.device(), world.device()
    assert await world.good(holder)
    assert await world.good(other)
    world.worsen(holder)

    forget(world, holder, about)

    assert not await world.good(holder)
    assert world.remembers(other) == (about in {"device", "tenant"})


def forget(world: World, holder: DeviceCertificate, about: str) -> None:
    if about == "all":
        world.standings.forget_all()
        return
    ids: dict[str, UUID] = {"device": holder.device, "tenant": holder.tenant, "issuer": ISSUER}
    world.standings.forget(ids[about])


@pytest.mark.parametrize("about", ["device", "tenant", "issuer", "all"])
async def test_event_during_a_load_makes_it_count_for_nothing(world: World, about: str) -> None:
    holder = world.device()
    world.gate.clear()
    first = asyncio.create_task(world.good(holder))
    await asyncio.sleep(0.01)  # it has looked, and found the device good
    world.worsen(holder)
    forget(world, holder, about)
    joins = asyncio.create_task(world.good(holder))  # asks while the old look is under way
    await asyncio.sleep(0.01)
    world.gate.set()

    assert not await first
    assert not await joins
    assert not world.remembers(holder)


async def test_refusal_is_never_remembered(world: World) -> None:
    holder = world.device()
    world.worsen(holder)

    assert not await world.good(holder)
    assert not await world.good(holder)
    assert len(world.asked) == 2


async def test_nothing_is_remembered_while_events_cannot_be_heard(world: World) -> None:
    holder = world.device()
    assert await world.good(holder)
    world.stretch = None

    assert await world.good(holder)
    assert await world.good(holder)
    assert len(world.asked) == 3


async def test_what_was_known_before_the_ears_were_shut_counts_no_more(world: World) -> None:
    holder = world.device()
    assert await world.good(holder)
    world.worsen(holder)
    world.stretch = 1  # away and back between two CONNECTs, and the event went by

    assert not await world.good(holder)


async def test_herd_gets_in_while_events_cannot_be_heard(world: World) -> None:
    world.stretch = None
    holders = [world.device() for _ in range(20)]

    assert all(await asyncio.gather(*(world.good(h) for h in holders)))


async def test_age_ends_a_memory_however_well_events_are_heard(world: World) -> None:
    holder = world.device()
    assert await world.good(holder)
    world.worsen(holder)
    world.now += FRESH_SECONDS

    assert not await world.good(holder)


async def test_known_device_gets_in_while_the_database_is_away_and_not_for_ever(
    world: World,
) -> None:
    holder = world.device()
    assert await world.good(holder)
    world.trouble = Unavailable("away")
    world.now += FRESH_SECONDS + 1

    assert await world.good(holder)

    world.now += AWAY_SECONDS
    with pytest.raises(Unavailable):
        await world.good(holder)


async def test_unknown_device_never_gets_in_while_the_database_is_away(world: World) -> None:
    holder = world.device()
    world.trouble = Unavailable("away")

    with pytest.raises(Unavailable):
        await world.good(holder)


async def test_database_and_events_both_away_let_nobody_in(world: World) -> None:
    holder = world.device()
    assert await world.good(holder)
    world.trouble = Unavailable("away")
    world.stretch = None

    with pytest.raises(Unavailable):
        await world.good(holder)


async def test_revoked_device_stays_out_when_the_database_goes_away_after_the_event(
    world: World,
) -> None:
    holder = world.device()
    assert await world.good(holder)
    world.standings.forget(holder.device)
    world.trouble = Unavailable("away")

    with pytest.raises(Unavailable):
        await world.good(holder)


async def test_nobody_waits_for_a_database_that_was_away_a_moment_ago(world: World) -> None:
    world.trouble = Unavailable("away")
    with pytest.raises(Unavailable):
        await world.good(world.device())
    asked = len(world.asked)
    with pytest.raises(Unavailable):
        await world.good(world.device())
    assert len(world.asked) == asked

    world.trouble = None
    world.now += RETRY_SECONDS
    assert await world.good(world.device())


async def test_database_that_hangs_is_away(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "LOAD_SECONDS", 0.05)
    world.gate.clear()

    with pytest.raises(Unavailable):
        await world.good(world.device())


async def test_bug_in_a_load_is_not_taken_for_an_outage(world: World) -> None:
    world.trouble = RuntimeError("a bug")

    with pytest.raises(RuntimeError):
        await world.good(world.device())
    world.trouble = None
    assert await world.good(world.device())


async def test_one_who_gives_up_does_not_take_the_answer_from_the_others(world: World) -> None:
    holder = world.device()
    world.gate.clear()
    impatient = asyncio.create_task(world.good(holder))
    patient = asyncio.create_task(world.good(holder))
    await asyncio.sleep(0.01)
    impatient.cancel()
    world.gate.set()

    assert await patient


async def test_memory_is_bounded_and_keeps_who_came_last() -> None:
    world = World(most=10)
    holders = [world.device() for _ in range(12)]
    for holder in holders:
        assert await world.good(holder)

    assert len(world.standings) == 10
    assert [world.remembers(h) for h in holders] == [False] * 2 + [True] * 10


async def test_marks_are_bounded_and_their_overflow_forgets_everybody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standings, "MOST_MARKS", 3)
    holder = world.device()
    assert await world.good(holder)

    for _ in range(4):
        world.standings.forget(uuid4())

    assert not world.remembers(holder)
