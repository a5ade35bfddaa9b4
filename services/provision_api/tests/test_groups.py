"""Device groups: made once however often it is asked, of one tenant's devices alone, audited and told of."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from provision_api.administrators import Administrators
from provision_api.groups import Groups
from pulse_common import device_groups
from pulse_common import events_groups as calls
from pulse_common.auth_audit import AuthAudit
from pulse_common.errors import Conflict, Forbidden, NotFound, Stale
from pulse_common.identity import Principal, TenantId
from pulse_common.ids import new_id
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Rig:
    groups: Groups
    database: Database
    people: dict[str, Principal]
    superuser: psycopg.Connection

    def tenant(self) -> tuple[UUID, str]:
        """Make a tenant, and return it with its administrator's token."""
        tenant = uuid4()
        self.superuser.execute(
            "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Acme')", [tenant]
        )
        return tenant, self.person(tenant, "tenant-admin")

    def person(self, tenant: UUID, role: str) -> str:
        token = f"token-{uuid4()}"
        self.people[token] = Principal(
            subject="alice", tenant=TenantId(tenant), roles=frozenset({role})
        )
        return token

    def device(self, tenant: UUID) -> UUID:
        device = new_id()
        self.superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'Lamp')",
            [tenant, device],
        )
        return device

    async def create(self, token: str, name: str = "Roof", group: UUID | None = None) -> UUID:
        request = calls.CreateGroupRequest(
            access_token=token, group_id=group or new_id(), name=name
        )
        return (await self.groups.create(request)).group_id

    async def change(
        self, token: str, group: UUID, join: list[UUID], leave: list[UUID]
    ) -> calls.GroupReply:
        request = calls.ChangeMembersRequest(
            access_token=token, group_id=group, join=join, leave=leave
        )
        return await self.groups.change_members(request)

    async def members(self, tenant: UUID, group: UUID) -> frozenset[UUID]:
        async with self.database.tenant_connection(TenantId(tenant)) as tx:
            return (await device_groups.members_of(tx, tenant, [group])).get(group, frozenset())

    def told(self, tenant: UUID) -> list[str]:
        found = self.superuser.execute(
            "SELECT payload->>'what' FROM outbox WHERE tenant_id = %s ORDER BY position", [tenant]
        )
        return [what for (what,) in found]

    def audited(self, tenant: UUID) -> list[str]:
        found = self.superuser.execute(
            "SELECT action FROM audit_log WHERE tenant_id = %s ORDER BY at", [tenant]
        )
        return [action for (action,) in found]


@pytest.fixture
async def rig(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[Rig]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    people: dict[str, Principal] = {}
    refusals = AuthAudit(database, address_of=lambda _: None)
    administrators = Administrators(FakeVerifier(people), refusals.refused_call)
    groups = Groups(db=database, clock=lambda: NOW, administrators=administrators)
    yield Rig(groups, database, people, superuser)
    await database.close()


async def test_devices_join_and_leave_and_each_change_is_audited_and_told_once(rig: Rig) -> None:
    tenant, admin = rig.tenant()
    one, two = rig.device(tenant), rig.device(tenant)
    group = await rig.create(admin)

    first = await rig.change(admin, group, [one, two], [])
    again = await rig.change(admin, group, [one], [uuid4()])
    await rig.change(admin, group, [], [two])

    assert (first.joined, again.joined, again.left) == (2, 0, 0)
    assert await rig.members(tenant, group) == {one}
    assert rig.told(tenant) == ["created", "joined", "left"]
    assert sorted(rig.audited(tenant)) == ["device_group.change"] * 2 + ["device_group.create"]


async def test_asking_again_makes_one_group_and_a_taken_name_is_a_conflict(rig: Rig) -> None:
    tenant, admin = rig.tenant()
    group = await rig.create(admin, "Roof")

    assert await rig.create(admin, "Roof", group) == group
    with pytest.raises(Conflict):
        await rig.create(admin, "Roof")
    with pytest.raises(Conflict):
        await rig.create(admin, "Cellar", group)

    assert rig.told(tenant) == ["created"]


async def test_a_rename_of_what_was_changed_meanwhile_is_refused(rig: Rig) -> None:
    _, admin = rig.tenant()
    group = await rig.create(admin)

    def ask(name: str) -> calls.RenameGroupRequest:
        return calls.RenameGroupRequest(access_token=admin, group_id=group, name=name, version=1)

    assert (await rig.groups.rename(ask("Attic"))).version == 2
    with pytest.raises(Stale):
        await rig.groups.rename(ask("Cellar"))


async def test_another_tenants_device_joins_no_group_and_its_group_is_not_there(rig: Rig) -> None:
    acme, alice = rig.tenant()
    globex, mallory = rig.tenant()
    theirs = rig.device(globex)
    group = await rig.create(alice)

    with pytest.raises(NotFound):
        await rig.change(alice, group, [theirs], [])
    with pytest.raises(NotFound):
        await rig.change(mallory, group, [theirs], [])

    assert await rig.members(acme, group) == frozenset()


async def test_who_is_no_administrator_changes_nothing(rig: Rig) -> None:
    tenant, _ = rig.tenant()
    customer = rig.person(tenant, "customer")

    with pytest.raises(Forbidden):
        await rig.create(customer)

    assert rig.told(tenant) == []


async def test_a_deleted_group_leaves_its_devices(rig: Rig) -> None:
    tenant, admin = rig.tenant()
    device = rig.device(tenant)
    group = await rig.create(admin)
    await rig.change(admin, group, [device], [])

    await rig.groups.delete(calls.DeleteGroupRequest(access_token=admin, group_id=group))

    assert await rig.members(tenant, group) == frozenset()
    found = rig.superuser.execute("SELECT count(*) FROM devices WHERE tenant_id = %s", [tenant])
    assert found.fetchone() == (1,)
    assert rig.told(tenant)[-1] == "deleted"
