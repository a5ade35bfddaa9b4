"""What ui_iot asks in a person's name: devices made once however often it asks, and renamed by the faster."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import pytest

from provision_api import shapes
from provision_api.enrolment import Enrolment
from provision_api.handlers import Provisioning
from provision_api.renaming import Renaming
from pulse_common import events
from pulse_common.auth_audit import AuthAudit
from pulse_common.errors import (
    AppError,
    Conflict,
    Forbidden,
    Malformed,
    NotFound,
    Stale,
    Unauthenticated,
)
from pulse_common.identity import Principal, TenantId
from pulse_common.ids import new_id
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier, Unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass
class Rig:
    provisioning: Provisioning
    people: dict[str, Principal]
    superuser: psycopg.Connection

    def tenant(self) -> UUID:
        tenant = uuid4()
        self.superuser.execute(
            "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Acme')", [tenant]
        )
        return tenant

    def person(self, tenant: UUID, role: str = "tenant-admin") -> str:
        """Return the access token of somebody of ``tenant``."""
        token = f"token-{uuid4()}"
        self.people[token] = Principal(
            subject="alice", tenant=TenantId(tenant), roles=frozenset({role})
        )
        return token

    def device(self, tenant: UUID, name: str = "Lamp") -> UUID:
        device = new_id()
        self.superuser.execute(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, %s)",
            [tenant, device, name],
        )
        return device

    async def rename(
        self, token: str, device: UUID, name: str, version: int | None
    ) -> events.RenameDeviceReply:
        request = events.RenameDeviceRequest(
            access_token=token, device_id=device, name=name, version=version, request_id="r1"
        )
        return await self.provisioning.answer_rename_device(request)

    async def create(
        self, token: str, device: UUID, name: str = "Lamp"
    ) -> events.CreateDeviceReply:
        request = events.CreateDeviceRequest(access_token=token, name=name, device_id=device)
        return await self.provisioning.answer_create_device(request)

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return self.superuser.execute(query, list(values)).fetchall()

    def name_of(self, device: UUID) -> str:
        [(name,)] = self.rows("SELECT name FROM devices WHERE device_id = %s", device)
        return str(name)


@pytest.fixture
async def rig(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[Rig]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    people: dict[str, Principal] = {}
    provisioning = Provisioning(
        Enrolment(database, cast("Bus", Unreachable()), lambda: NOW),
        Renaming(db=database, clock=lambda: NOW),
        FakeVerifier(people),
        shapes.Broker(host="broker.example", port=8883, ca_certificates="ca"),
        AuthAudit(database, address_of=lambda _: None).refused_call,
    )
    yield Rig(provisioning, people, superuser)
    await database.close()


async def test_rename_is_told_and_on_the_record(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)

    reply = await rig.rename(rig.person(tenant), device, " Größe ", 1)

    assert (reply.device_id, reply.name, reply.version) == (device, "Größe", 2)
    assert rig.name_of(device) == "Größe"
    assert rig.rows(
        "SELECT action, actor_id, request_id, details FROM audit_log WHERE object_id = %s",
        str(device),
    ) == [("device.rename", "alice", "r1", {"from": "Lamp", "to": "Größe"})]
    [(subject, payload)] = rig.rows(
        "SELECT subject, payload FROM outbox WHERE tenant_id = %s", tenant
    )
    assert subject == "pulse.events.device.renamed"
    assert (payload["device_id"], payload["name"]) == (str(device), "Größe")


async def test_rename_of_an_older_version_changes_and_tells_nothing(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    token = rig.person(tenant)
    await rig.rename(token, device, "First", 1)

    with pytest.raises(Stale):
        await rig.rename(token, device, "Second", 1)

    assert rig.name_of(device) == "First"
    assert len(rig.rows("SELECT 1 FROM outbox WHERE tenant_id = %s", tenant)) == 1


async def test_of_many_renames_of_one_version_one_wins(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    token = rig.person(tenant)

    replies = await asyncio.gather(
        *(rig.rename(token, device, f"Name {i}", 1) for i in range(8)), return_exceptions=True
    )

    won = [reply for reply in replies if isinstance(reply, events.RenameDeviceReply)]
    assert [type(reply) for reply in replies if isinstance(reply, Exception)] == [Stale] * 7
    assert [reply.name for reply in won] == [rig.name_of(device)]


async def test_rename_without_a_version_overwrites(rig: Rig) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    token = rig.person(tenant)
    await rig.rename(token, device, "First", 1)

    assert (await rig.rename(token, device, "Second", None)).version == 3


async def test_another_tenants_device_is_not_there(rig: Rig) -> None:
    device = rig.device(rig.tenant())

    with pytest.raises(NotFound):
        await rig.rename(rig.person(rig.tenant()), device, "Mine now", None)

    assert rig.name_of(device) == "Lamp"


@pytest.mark.parametrize(
    ("role", "name", "suspended", "refusal"),
    [
        ("customer", "Name", False, Forbidden),
        ("operator", "Name", False, Forbidden),
        ("tenant-admin", "Name", True, Forbidden),
        ("tenant-admin", " ", False, Malformed),
        ("tenant-admin", "a\x07b", False, Malformed),
        ("tenant-admin", "x" * 101, False, Malformed),
    ],
)
async def test_rename_is_refused(
    rig: Rig, role: str, name: str, *, suspended: bool, refusal: type[AppError]
) -> None:
    tenant = rig.tenant()
    device = rig.device(tenant)
    if suspended:
        rig.superuser.execute(
            "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [tenant]
        )

    with pytest.raises(refusal):
        await rig.rename(rig.person(tenant, role), device, name, 1)

    assert rig.name_of(device) == "Lamp"


async def test_creation_that_is_repeated_makes_one_device_and_a_token_each_time(rig: Rig) -> None:
    tenant, device = rig.tenant(), new_id()
    token = rig.person(tenant)

    first = await rig.create(token, device)
    second = await rig.create(token, device)

    assert (first.device_id, second.device_id) == (device, device)
    assert first.token != second.token
    assert rig.rows("SELECT device_id FROM devices WHERE tenant_id = %s", tenant) == [(device,)]
    events_told = rig.rows("SELECT subject FROM outbox WHERE tenant_id = %s", tenant)
    assert events_told == [("pulse.events.device.created",)]


async def test_id_of_something_else_is_refused(rig: Rig) -> None:
    tenant, token_of = rig.tenant(), rig.person
    own = rig.device(tenant, "Lamp")
    foreign = rig.device(rig.tenant(), "Lamp")

    for device, name in ((own, "Pump"), (foreign, "Lamp")):
        with pytest.raises(Conflict):
            await rig.create(token_of(tenant), device, name)

    assert (
        rig.rows("SELECT 1 FROM enrolment_tokens WHERE device_id IN (%s, %s)", own, foreign) == []
    )


async def test_refused_token_of_each_call_leaves_one_row_that_names_the_request(rig: Rig) -> None:
    request_id = str(uuid4())
    named: dict[str, Any] = {"access_token": "forged", "request_id": request_id}
    device = uuid4()
    calls = [
        rig.provisioning.answer_create_device(events.CreateDeviceRequest(name="Lamp", **named)),
        rig.provisioning.answer_mint_token(events.MintTokenRequest(device_id=device, **named)),
        rig.provisioning.answer_rename_device(
            events.RenameDeviceRequest(device_id=device, name="Lamp", version=1, **named)
        ),
    ]

    for call in calls:
        with pytest.raises(Unauthenticated):
            await call

    found = rig.rows(
        "SELECT action, outcome, reason, details ->> 'rpc' FROM audit_log WHERE request_id = %s ORDER BY at",
        request_id,
    )
    assert found == [
        ("credentials.refuse", "denied", "unknown", kind.rpc)
        for kind in (
            events.CreateDeviceRequest,
            events.MintTokenRequest,
            events.RenameDeviceRequest,
        )
    ]
