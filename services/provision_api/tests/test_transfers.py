"""A device goes from one tenant to another by an offer and its acceptance; neither side sees the other's rows."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import psycopg
import pytest

from provision_api.enrolment import Caller, Enrolment
from provision_api.transfers import Transfers
from pulse_common.clock import system_clock
from pulse_common.errors import AppError, Conflict, Forbidden, LimitReached, Malformed, NotFound
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.parts import Postgres

    from pulse_common.bus import Bus
    from pulse_common.events_transfer import AcceptReply

pytestmark = pytest.mark.anyio
WEEK = 7 * 24 * 3600
ALICE = Caller(kind="user", id="alice")
MALLORY = Caller(kind="user", id="mallory")


@dataclass
class Rig:
    transfers: Transfers
    rows: psycopg.Connection
    url: str
    ahead: timedelta = timedelta(0)

    def clock(self) -> datetime:
        return system_clock() + self.ahead

    def tenant(self, name: str = "Acme", status: str = "active") -> TenantId:
        made = TenantId(uuid4())
        self.rows.execute(
            "INSERT INTO tenants (tenant_id, name, status) VALUES (%s, %s, %s)",
            [made, name, status],
        )
        return made

    def device(self, tenant: UUID, name: str = "pump-7") -> UUID:
        made = uuid4()
        self.rows.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, %s)",
            [tenant, made, name],
        )
        return made

    def fetch(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.rows.execute(query, list(values)).fetchall()

    async def offer(self, giver: TenantId, device: UUID, taker: UUID) -> UUID:
        offered = await self.transfers.offer(giver, device, taker, WEEK, ALICE)
        return offered.transfer_id

    async def accept(self, taker: TenantId, transfer: UUID) -> AcceptReply:
        return await self.transfers.accept(taker, transfer, MALLORY)

    def acts(self, tenant: UUID) -> list[str]:
        found = self.fetch(
            "SELECT action FROM audit_log WHERE tenant_id = %s AND action LIKE 'device.transfer%%'"
            " ORDER BY at, audit_id",
            tenant,
        )
        return [row[0] for row in found]

    def status(self, giver: UUID, taker: UUID) -> tuple[str | None, str | None]:
        sides = []
        for table, tenant in (("device_transfers", giver), ("device_arrivals", taker)):
            found = self.fetch(
                f"SELECT status FROM {table} WHERE tenant_id = %s ORDER BY offered_at DESC",  # noqa: S608 -- ours
                tenant,
            )
            sides.append(found[0][0] if found else None)
        return sides[0], sides[1]

    def as_tenant(self, tenant: UUID, query: str, login: str = "svc_provision_api") -> list[Any]:
        with psycopg.connect(self.url.replace("svc_provision_api", login)) as connection:
            connection.execute("SELECT set_config('role', 'pulse_app', true)")
            connection.execute("SELECT set_config('app.tenant_id', %s, true)", [str(tenant)])
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
async def rig(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[Rig]:
    url = postgres.url("svc_provision_api")
    database = Database(url, name="test")
    await database.open()
    rigs: list[Rig] = []

    def clock() -> datetime:
        return rigs[0].clock()

    enrolment = Enrolment(database, cast("Bus", Unreachable()), clock)
    transfers = Transfers(db=database, enrolment=enrolment, clock=clock)
    rigs.append(Rig(transfers, superuser, url))
    yield rigs[0]
    await database.close()


async def test_an_accepted_device_begins_anew_and_what_it_had_dies(rig: Rig) -> None:
    giver, taker = rig.tenant("Acme"), rig.tenant("Globex")
    device = rig.device(giver)
    minted = await rig.transfers.enrolment.mint_token(giver, device, None, ALICE)
    rig.rows.execute(
        "INSERT INTO device_tokens (tenant_id, token_id, device_id, token_hash, created_at, created_by, expires_at)"
        " VALUES (%s, gen_random_uuid(), %s, sha256(%s::text::bytea), now(), 'alice', now() + interval '1 day')",
        [giver, device, str(device)],
    )
    transfer = await rig.offer(giver, device, taker)

    taken = await rig.accept(taker, transfer)

    assert taken.device_id != device
    assert taken.name == "pump-7"
    assert taken.token.startswith("pet_")
    assert rig.status(giver, taker) == ("accepted", "accepted")
    assert rig.fetch("SELECT status FROM devices WHERE device_id = %s", device) == [("disabled",)]
    assert rig.fetch(
        "SELECT tenant_id, status FROM devices WHERE device_id = %s", taken.device_id
    ) == [(taker, "active")]
    assert rig.fetch(
        "SELECT count(*) FROM enrolment_tokens WHERE device_id = %s AND expires_at > now()", device
    ) == [(0,)]
    assert rig.fetch(
        "SELECT count(*) FROM device_tokens WHERE device_id = %s AND revoked_at IS NULL", device
    ) == [(0,)]
    assert minted.expires_at > rig.clock()
    told = rig.fetch(
        "SELECT subject, producer::text FROM outbox WHERE tenant_id = %s AND payload ->> 'device_id' = %s"
        " AND subject LIKE 'pulse.events.device.%%' ORDER BY 1",
        giver,
        str(device),
    )
    assert told == [
        ("pulse.events.device.disabled", "svc_provision_api"),
        ("pulse.events.device.transferred", "svc_provision_api"),
    ]


async def test_both_tenants_audit_logs_have_it_and_neither_names_the_others_device(
    rig: Rig,
) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    device = rig.device(giver)
    taken = await rig.accept(taker, await rig.offer(giver, device, taker))

    assert rig.acts(giver) == ["device.transfer_offer", "device.transfer_accept"]
    assert rig.acts(taker) == ["device.transfer_accept"]
    for tenant, hidden in ((giver, taken.device_id), (taker, device)):
        rows = rig.fetch("SELECT audit_log::text FROM audit_log WHERE tenant_id = %s", tenant)
        assert not [row for row in rows if str(hidden) in row[0]]
        rows = rig.fetch("SELECT payload::text FROM outbox WHERE tenant_id = %s", tenant)
        assert not [row for row in rows if str(hidden) in row[0]]


async def test_history_stays_with_the_giver(rig: Rig) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    device = rig.device(giver)
    rig.rows.execute(
        "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
        " VALUES (%s, %s, now(), gen_random_uuid(), '{\"t\": 1}', now())",
        [giver, device],
    )

    await rig.accept(taker, await rig.offer(giver, device, taker))

    count = "SELECT count(*) FROM telemetry"
    assert rig.as_tenant(giver, count) == [(1,)]
    assert rig.as_tenant(taker, count) == [(0,)]


async def test_neither_tenant_sees_the_others_rows(rig: Rig) -> None:
    giver, taker, stranger = rig.tenant(), rig.tenant(), rig.tenant()
    device = rig.device(giver)
    await rig.offer(giver, device, taker)

    for table, seen_by in (("device_transfers", giver), ("device_arrivals", taker)):
        for tenant in (giver, taker, stranger):
            seen = rig.as_tenant(tenant, f"SELECT 1 FROM {table}")  # noqa: S608 -- ours
            assert bool(seen) == (tenant == seen_by)
    # The taker's row holds nothing of the giver's device but its name.
    ((text,),) = rig.as_tenant(taker, "SELECT device_arrivals::text FROM device_arrivals")
    assert str(device) not in text


async def test_an_offer_does_not_tell_who_is_there(rig: Rig) -> None:
    giver, taker, suspended = rig.tenant(), rig.tenant(), rig.tenant(status="suspended")

    replies = [
        await rig.transfers.offer(giver, rig.device(giver), to, WEEK, ALICE)
        for to in (taker, suspended, uuid4())
    ]

    assert len({type(one) for one in replies}) == 1
    assert rig.status(giver, taker) == ("offered", "offered")
    assert rig.status(giver, suspended) == ("offered", None)


async def test_only_the_tenant_that_it_is_offered_to_accepts(rig: Rig) -> None:
    giver, taker, stranger = rig.tenant(), rig.tenant(), rig.tenant()
    transfer = await rig.offer(giver, rig.device(giver), taker)

    for tenant in (stranger, giver):
        with pytest.raises(NotFound):
            await rig.accept(tenant, transfer)
        with pytest.raises(NotFound):
            await rig.transfers.decline(tenant, transfer, MALLORY)
    with pytest.raises(NotFound):
        await rig.transfers.withdraw(taker, transfer, MALLORY)
    assert rig.status(giver, taker) == ("offered", "offered")


async def test_an_offer_that_was_withdrawn_declined_or_has_expired_is_over(rig: Rig) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    device = rig.device(giver)
    withdrawn = await rig.offer(giver, device, taker)
    await rig.transfers.withdraw(giver, withdrawn, ALICE)
    assert rig.status(giver, taker) == ("withdrawn", "withdrawn")
    declined = await rig.offer(giver, device, taker)
    await rig.transfers.decline(taker, declined, MALLORY)
    assert rig.status(giver, taker) == ("declined", "declined")
    expired = await rig.offer(giver, device, taker)
    rig.ahead = timedelta(days=8)
    for transfer in (withdrawn, declined, expired):
        with pytest.raises(NotFound):
            await rig.accept(taker, transfer)
    await rig.offer(giver, device, taker)  # the next one says that the last one is over

    assert rig.fetch(
        "SELECT status FROM device_arrivals WHERE tenant_id = %s AND transfer_id = %s",
        taker,
        expired,
    ) == [("expired",)]
    assert rig.acts(giver).count("device.transfer_expire") == 1
    assert rig.acts(taker) == ["device.transfer_decline"]
    assert rig.fetch("SELECT status FROM devices WHERE device_id = %s", device) == [("active",)]


async def test_a_full_plan_takes_nothing_and_the_giver_keeps_the_device(rig: Rig) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    device = rig.device(giver)
    rig.device(taker)
    rig.rows.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, hard_limits, features, cause,"
        " applied_at) VALUES (%s, 1, 'unlimited', 'full', 1, true, '{}', 'test', now())",
        [taker],
    )
    transfer = await rig.offer(giver, device, taker)

    with pytest.raises(LimitReached):
        await rig.accept(taker, transfer)

    assert rig.status(giver, taker) == ("offered", "offered")
    assert rig.fetch("SELECT status FROM devices WHERE device_id = %s", device) == [("active",)]


async def test_a_device_given_away_leaves_its_place_in_the_givers_plan(rig: Rig) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    device = rig.device(giver)
    rig.rows.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, devices, hard_limits, features, cause,"
        " applied_at) VALUES (%s, 1, 'unlimited', 'full', 1, true, '{}', 'test', now())",
        [giver],
    )
    create = rig.transfers.enrolment.create_device
    transfer = await rig.offer(giver, device, taker)
    with pytest.raises(LimitReached):
        await create(giver, "One too many", ALICE)
    await rig.accept(taker, transfer)

    await create(giver, "In its place", ALICE)

    with pytest.raises(LimitReached):
        await create(giver, "One too many", ALICE)


async def test_a_suspended_tenant_takes_nothing(rig: Rig) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    transfer = await rig.offer(giver, rig.device(giver), taker)
    rig.rows.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [taker])

    with pytest.raises(Forbidden):
        await rig.accept(taker, transfer)


async def test_a_device_that_was_disabled_meanwhile_is_not_handed_over(rig: Rig) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    device = rig.device(giver)
    transfer = await rig.offer(giver, device, taker)
    rig.rows.execute("UPDATE devices SET status = 'disabled' WHERE device_id = %s", [device])

    with pytest.raises(Conflict):
        await rig.accept(taker, transfer)

    assert rig.fetch("SELECT count(*) FROM devices WHERE tenant_id = %s", taker) == [(0,)]


async def test_a_withdrawal_and_an_acceptance_that_race_agree_on_both_sides(rig: Rig) -> None:
    for _ in range(5):
        giver, taker = rig.tenant(), rig.tenant()
        device = rig.device(giver)
        transfer = await rig.offer(giver, device, taker)

        results = await asyncio.gather(
            rig.transfers.withdraw(giver, transfer, ALICE),
            rig.accept(taker, transfer),
            rig.accept(taker, transfer),
            return_exceptions=True,
        )

        assert all(
            not isinstance(one, BaseException) or isinstance(one, AppError) for one in results
        )
        assert sum(not isinstance(one, BaseException) for one in results) == 1
        here, there = rig.status(giver, taker)
        assert here == there
        taken = rig.fetch("SELECT count(*) FROM devices WHERE tenant_id = %s", taker)
        assert taken == [(1 if here == "accepted" else 0,)]


@pytest.mark.parametrize("to", ["itself", "nobody"])
async def test_a_device_is_not_offered_to_itself_or_to_the_platform(rig: Rig, to: str) -> None:
    giver = rig.tenant()
    device = rig.device(giver)

    with pytest.raises(Malformed):
        await rig.offer(giver, device, giver if to == "itself" else UUID(int=0))


async def test_anothers_device_is_not_offered_and_one_is_offered_once(rig: Rig) -> None:
    giver, taker = rig.tenant(), rig.tenant()
    device = rig.device(giver)
    with pytest.raises(NotFound):
        await rig.offer(taker, device, giver)
    await rig.offer(giver, device, taker)

    with pytest.raises(Conflict):
        await rig.offer(giver, device, rig.tenant())


async def test_the_way_across_is_closed_to_other_services_and_to_what_is_not_theirs(
    rig: Rig,
) -> None:
    giver, taker, stranger = rig.tenant(), rig.tenant(), rig.tenant()
    transfer = await rig.offer(giver, rig.device(giver), taker)
    carry = f"SELECT carry_transfer('{transfer}')"

    for login in ("svc_ui_iot", "svc_delivery_worker"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rig.as_tenant(giver, carry, login)
    # The taker has decided nothing, and a stranger has nothing to carry.
    for tenant in (taker, stranger):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            rig.as_tenant(tenant, carry)
    # Nobody lets an offer in by hand, to oneself or to others.
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        rig.as_tenant(stranger, "INSERT INTO device_arrivals DEFAULT VALUES RETURNING 1")
