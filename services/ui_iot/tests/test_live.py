from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, cast
from uuid import UUID, uuid4

import pytest

from pulse_common import events
from pulse_common.identity import TenantId
from ui_iot.domain import LIVE_FOR
from ui_iot.live import QUEUE_LENGTH, Hub, LiveMessage, Watcher

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACME, GLOBEX = TenantId(uuid4()), TenantId(uuid4())
LAMP, PUMP = uuid4(), uuid4()


@dataclass
class FakeBus:
    """Hands each message to whoever subscribed to its subject; ``away`` refuses subscriptions."""

    handlers: dict[str, list[Callable[[str, bytes], Awaitable[None]]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    away: bool = False

    async def subscribe_live(
        self, subject: str, handler: Callable[[str, bytes], Awaitable[None]]
    ) -> Callable[[], Awaitable[None]]:
        if self.away:
            raise ConnectionError
        self.handlers[subject].append(handler)

        async def stop() -> None:
            self.handlers[subject].remove(handler)

        return stop

    async def publish(self, subject: str, data: bytes) -> None:
        for handler in self.handlers[subject]:
            await handler(subject, data)


@dataclass
class World:
    bus: FakeBus
    hub: Hub
    now: datetime = NOW

    async def read(self, tenant: UUID, device: UUID, *, subject_of: UUID | None = None) -> None:
        """Let a device's reading arrive, on the subject of its own tenant unless told otherwise."""
        reading = events.Reading(
            tenant_id=tenant,
            device_id=device,
            message_id=uuid4(),
            ts=self.now,
            received_at=self.now,
            metrics={"load": 0.5},
        )
        await self.bus.publish(events.live_subject(subject_of or tenant), reading.to_bytes())

    async def tell(self, event: events.Event) -> None:
        await self.bus.publish(event.subject, event.to_bytes())

    async def watcher(self, tenant: TenantId, *devices: UUID) -> Watcher:
        """Let somebody watch these devices, or all of the tenant's when none is named."""
        watcher = Watcher(tenant, frozenset(devices) or None)
        await self.hub.join(watcher)
        return watcher


@pytest.fixture
async def world() -> World:
    bus = FakeBus()
    made = World(bus, Hub(cast("Bus", bus), lambda: made.now))
    await made.hub.start()
    return made


async def heard(watcher: Watcher) -> list[LiveMessage]:
    """Take everything that waits for a watcher."""
    messages = []
    while True:
        try:
            async with asyncio.timeout(0.01):
                messages.append(json.loads(await watcher.next()))
        except TimeoutError:
            return messages


def statuses(messages: list[LiveMessage]) -> list[object]:
    return [message["status"] for message in messages if message["type"] == "device"]


def revoked(tenant: UUID, device: UUID) -> events.CertificateRevoked:
    return events.CertificateRevoked(
        tenant_id=tenant,
        at=NOW,
        device_id=device,
        certificate_id=uuid4(),
        serial_number="0a",
        fingerprint_sha256="0" * 64,
        reason="superseded",
        revoked_at=NOW,
    )


async def test_reading_reaches_those_who_watch_the_device(world: World) -> None:
    everything = await world.watcher(ACME)
    lamp, pump = await world.watcher(ACME, LAMP), await world.watcher(ACME, PUMP)

    await world.read(ACME, LAMP)

    status, telemetry = await heard(everything)
    assert status == {
        "type": "device",
        "device_id": str(LAMP),
        "status": "live",
        "last_seen_at": NOW.isoformat(),
    }
    assert telemetry == {
        "type": "telemetry",
        "device_id": str(LAMP),
        "ts": int(NOW.timestamp() * 1000),
        "metrics": {"load": 0.5},
    }
    assert await heard(lamp) == [status, telemetry]
    assert await heard(pump) == []


async def test_watcher_hears_nothing_before_it_says_what_it_wants(world: World) -> None:
    watcher = Watcher(ACME)
    await world.hub.join(watcher)

    await world.read(ACME, LAMP)

    assert await heard(watcher) == []


async def test_another_tenants_watcher_hears_nothing_though_it_names_the_device(
    world: World,
) -> None:
    theirs = await world.watcher(GLOBEX, LAMP)
    everything = await world.watcher(GLOBEX)
    await world.watcher(ACME)

    await world.read(ACME, LAMP)
    await world.tell(events.DeviceCreated(tenant_id=ACME, at=NOW, device_id=LAMP, name="Lamp"))
    await world.tell(revoked(ACME, LAMP))

    assert await heard(theirs) == await heard(everything) == []


async def test_message_that_names_another_tenant_than_its_subject_is_dropped(world: World) -> None:
    own, theirs = await world.watcher(ACME), await world.watcher(GLOBEX)

    await world.read(GLOBEX, LAMP, subject_of=ACME)

    assert await heard(own) == await heard(theirs) == []


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b'{"tenant_id": 1}'])
async def test_unreadable_message_is_dropped_and_the_next_one_arrives(
    world: World, data: bytes
) -> None:
    watcher = await world.watcher(ACME)

    await world.bus.publish(events.live_subject(ACME), data)
    for kind in (events.CertificateRevoked, events.DeviceEnrolled):
        await world.bus.publish(kind.subject, data)
    await world.read(ACME, LAMP)

    assert statuses(await heard(watcher)) == ["live"]


async def test_slow_watcher_loses_its_oldest_and_is_told_how_many(world: World) -> None:
    slow, quick = await world.watcher(ACME), await world.watcher(ACME)
    got: list[LiveMessage] = []
    for _ in range(QUEUE_LENGTH + 5):
        world.now += timedelta(milliseconds=1)
        await world.read(ACME, LAMP)
        got += await heard(quick) if len(got) < 10 else []

    dropped, *rest = await heard(slow)

    # One message more than readings: the first also said that the device is live.
    assert dropped == {"type": "dropped", "count": 6}
    assert len(rest) == QUEUE_LENGTH
    assert rest[-1]["ts"] == int(world.now.timestamp() * 1000)
    assert {message["type"] for message in got} == {"device", "telemetry"}


async def test_silent_device_is_offline_once_and_live_again_when_it_speaks(world: World) -> None:
    watcher = await world.watcher(ACME)

    await world.read(ACME, LAMP)
    world.now += LIVE_FOR
    world.hub.tell_silent()
    still_live = statuses(await heard(watcher))
    world.now += timedelta(seconds=1)
    world.hub.tell_silent()
    world.hub.tell_silent()
    gone = statuses(await heard(watcher))
    await world.read(ACME, LAMP)

    assert (still_live, gone) == (["live"], ["offline"])
    assert statuses(await heard(watcher)) == ["live"]


async def test_revoked_device_is_cut_off_and_stays_so(world: World) -> None:
    watcher = await world.watcher(ACME)
    await world.read(ACME, LAMP)

    await world.tell(revoked(ACME, LAMP))
    await world.read(ACME, LAMP)  # was under way when the session was cut
    world.now += LIVE_FOR + timedelta(seconds=1)
    world.hub.tell_silent()
    await world.tell(
        events.SessionCut(
            tenant_id=ACME, at=NOW, device_id=LAMP, certificate_id=uuid4(), seconds=0.1
        )
    )

    assert statuses(await heard(watcher)) == ["live", "cut_off", "cut_off"]


async def test_device_with_a_new_certificate_is_live_again(world: World) -> None:
    watcher = await world.watcher(ACME)
    await world.tell(revoked(ACME, LAMP))

    await world.tell(
        events.DeviceEnrolled(
            tenant_id=ACME, at=NOW, device_id=LAMP, certificate_id=uuid4(), serial_number="0b"
        )
    )
    await world.read(ACME, LAMP)

    assert statuses(await heard(watcher)) == ["cut_off", "live"]


async def test_new_device_is_told(world: World) -> None:
    watcher = await world.watcher(ACME)

    await world.tell(events.DeviceCreated(tenant_id=ACME, at=NOW, device_id=LAMP, name="Lamp"))

    assert statuses(await heard(watcher)) == ["never"]


async def test_one_subscription_a_tenant_until_the_last_watcher_leaves(world: World) -> None:
    first, second = await world.watcher(ACME), await world.watcher(ACME)
    subscribed = world.bus.handlers[events.live_subject(ACME)]

    assert len(subscribed) == 1
    await world.hub.leave(first)
    assert len(subscribed) == 1
    await world.hub.leave(second)
    assert subscribed == []


async def test_watcher_may_come_after_all_have_left(world: World) -> None:
    await world.hub.leave(await world.watcher(ACME))
    watcher = await world.watcher(ACME)

    await world.read(ACME, LAMP)

    assert statuses(await heard(watcher)) == ["live"]


async def test_watcher_that_could_not_join_leaves_nothing_behind(world: World) -> None:
    world.bus.away = True
    with pytest.raises(ConnectionError):
        await world.watcher(ACME)
    world.bus.away = False
    watcher = await world.watcher(ACME)

    await world.read(ACME, LAMP)
    await world.hub.leave(watcher)

    assert len(await heard(watcher)) == 2
    assert world.bus.handlers[events.live_subject(ACME)] == []
