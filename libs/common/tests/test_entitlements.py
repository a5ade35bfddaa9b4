from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from pulse_common import entitlements, events
from pulse_common.entitlements import FRESH_SECONDS, UNLIMITED, Cache, Entitlements
from pulse_common.errors import LimitReached, Unavailable
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

TENANT = uuid4()


class Source:
    """Counts reads; raises while ``away``."""

    def __init__(self, answer: Entitlements) -> None:
        self.answer = answer
        self.reads = 0
        self.away = False

    async def read(self, _: UUID) -> Entitlements:
        self.reads += 1
        if self.away:
            raise Unavailable("away")
        return self.answer


class Watch:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def changed(version: int, devices: int | None) -> bytes:
    return events.EntitlementsChanged(
        tenant_id=TENANT,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        version=version,
        plan="starter",
        access="full",
        limits={"devices": devices},
        hard_limits=True,
        features=["webhooks"],
        cause="subscription",
        stripe_event_id="evt_1",
    ).to_bytes()


@pytest.mark.anyio
async def test_a_pushed_change_holds_at_once() -> None:
    source, watch = Source(Entitlements(version=1, devices=5)), Watch()
    cache = Cache(source.read, watch)
    assert (await cache.of(TENANT)).devices == 5

    await cache.on_message("", changed(2, 50))

    assert (await cache.of(TENANT)).devices == 50
    assert source.reads == 1


@pytest.mark.anyio
async def test_a_change_that_was_not_pushed_is_read_within_five_seconds() -> None:
    source, watch = Source(Entitlements(version=1, devices=5)), Watch()
    cache = Cache(source.read, watch)
    await cache.of(TENANT)

    source.answer = Entitlements(version=2, devices=50)
    watch.now += FRESH_SECONDS

    assert FRESH_SECONDS < 5
    assert (await cache.of(TENANT)).devices == 50


@pytest.mark.anyio
async def test_an_older_event_does_not_undo_a_newer_one() -> None:
    cache = Cache(Source(UNLIMITED).read, Watch())

    await cache.on_message("", changed(3, 30))
    await cache.on_message("", changed(2, 20))
    await cache.on_message("", b"{}")

    assert (await cache.of(TENANT)).devices == 30


@pytest.mark.anyio
async def test_while_the_database_is_away_what_held_goes_on_holding() -> None:
    source, watch = Source(Entitlements(version=1, devices=5)), Watch()
    cache = Cache(source.read, watch)
    await cache.of(TENANT)

    source.away = True
    watch.now += 3600

    assert (await cache.of(TENANT)).devices == 5
    assert await cache.of(uuid4()) == UNLIMITED


@pytest.mark.parametrize(
    ("held", "devices", "refused"),
    [
        (UNLIMITED, 10**9, False),
        (Entitlements(devices=5), 4, False),
        (Entitlements(devices=5), 5, True),
        (Entitlements(devices=0), 0, True),
        (Entitlements(access="no_new_devices"), 0, True),
        (Entitlements(access="read_only"), 0, True),
    ],
)
def test_a_device_fits_or_is_refused_in_words(
    held: Entitlements, devices: int, *, refused: bool
) -> None:
    if not refused:
        held.require_new_device(devices)
        return
    with pytest.raises(LimitReached) as caught:
        held.require_new_device(devices)

    assert "plan" in caught.value.message or "unpaid" in caught.value.message


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    yield database
    await database.close()


@pytest.mark.anyio
async def test_a_tenant_reads_its_own_row_and_without_one_has_no_limits(
    database: Database, superuser: psycopg.Connection
) -> None:
    mine, other = TenantId(uuid4()), TenantId(uuid4())
    for tenant in (mine, other):
        superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
    superuser.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, hard_limits, features, cause,"
        " applied_at) VALUES (%s, 7, 'free', 'full', 5, true, '{sso}', 'default', now())",
        [mine],
    )

    async with database.tenant_connection(mine) as tx:
        found = await entitlements.load(tx)
        stolen = await entitlements.load_of(tx, other)
    async with database.tenant_connection(other) as tx:
        nothing = await entitlements.load_of(tx, mine)

    expected = Entitlements(
        version=7, plan="free", devices=5, hard_limits=True, features=frozenset({"sso"})
    )
    assert found == expected
    assert stolen == nothing == UNLIMITED
