"""Imports: every line becomes one device or one reason, however often it is sent and whatever dies meanwhile."""

from __future__ import annotations

import asyncio
import base64
import signal
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID, uuid4

import pytest
from services.provision_api.tests.fleet.fleets import make_fleet

from provision_api.domain import read_token
from provision_api.fleet.importing import Importer
from provision_api.fleet.imports import Imports
from pulse_common import events_fleet as calls
from pulse_common.errors import Conflict, LimitReached, NotFound
from pulse_common.ids import new_id
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime

    import psycopg
    from services.provision_api.tests.fleet.people import People
    from tests.parts import Postgres

pytestmark = pytest.mark.anyio


@dataclass
class Upload:
    people: People
    tenant: UUID
    token: str
    import_id: UUID

    @property
    def imports(self) -> Imports:
        return Imports(
            db=self.people.db,
            clock=self.people.clock,
            administrators=self.people.administrators,
            tokens_a_call=2,
        )

    async def send(self, data: bytes, at: int = 0) -> int:
        asked = calls.SendImportPartRequest(
            access_token=self.token,
            import_id=self.import_id,
            at_byte=at,
            data_base64=base64.b64encode(data).decode(),
        )
        return (await self.imports.send(asked)).received_bytes

    async def act(self, act: Literal["start", "cancel"]) -> str:
        asked = calls.ActOnImportRequest(access_token=self.token, import_id=self.import_id, act=act)
        return (await self.imports.act(asked)).state

    async def tokens(self, after_line: int = 0) -> calls.ImportTokensReply:
        asked = calls.ImportTokensRequest(
            access_token=self.token, import_id=self.import_id, after_line=after_line
        )
        return await self.imports.tokens(asked)

    def said(self) -> tuple[Any, ...]:
        """Return state, devices, unchanged and refused lines."""
        [found] = self.people.rows(
            "SELECT state, created_devices, unchanged_rows, refused_rows FROM device_imports WHERE import_id = %s",
            self.import_id,
        )
        return found

    def problems(self) -> dict[int, str]:
        query = "SELECT line, problem FROM device_import_rows WHERE import_id = %s AND problem IS NOT NULL"
        return {
            int(line): str(problem) for line, problem in self.people.rows(query, self.import_id)
        }


async def begin(
    people: People,
    tenant: UUID | None = None,
    form: calls.ImportFormat = "csv",
    *,
    with_tokens: bool = False,
    enrolment_profile_id: UUID | None = None,
) -> Upload:
    tenant = tenant or people.tenant()
    token, import_id = people.person(tenant), new_id()
    upload = Upload(people, tenant, token, import_id)
    asked = calls.CreateImportRequest(
        access_token=token,
        import_id=import_id,
        format=form,
        with_tokens=with_tokens,
        enrolment_profile_id=enrolment_profile_id,
    )
    await upload.imports.create(asked)
    return upload


def importer(people: People, batch: int = 3) -> Importer:
    return Importer(db=people.db, clock=people.clock, batch=batch)


async def work_off(people: People, upload: Upload, batch: int = 3) -> None:
    worker = importer(people, batch)
    while upload.said()[0] == "running":
        await worker.work_once()


async def bring(
    people: People,
    data: bytes,
    tenant: UUID | None = None,
    form: calls.ImportFormat = "csv",
    *,
    with_tokens: bool = False,
    enrolment_profile_id: UUID | None = None,
) -> Upload:
    upload = await begin(
        people, tenant, form, with_tokens=with_tokens, enrolment_profile_id=enrolment_profile_id
    )
    await upload.send(data)
    await upload.act("start")
    await work_off(people, upload)
    return upload


def table(*lines: str) -> bytes:
    return ("hardware_id,name,profile,group\r\n" + "".join(f"{x}\r\n" for x in lines)).encode()


async def test_each_line_becomes_a_device_with_its_profile_and_group(people: People) -> None:
    tenant = people.tenant()
    profile, group = uuid4(), uuid4()
    people.superuser.execute(
        "INSERT INTO device_profiles (tenant_id, profile_id, name) VALUES (%s, %s, 'Meters')",
        [tenant, profile],
    )
    people.superuser.execute(
        "INSERT INTO device_groups (tenant_id, group_id, name) VALUES (%s, %s, 'Hall B')",
        [tenant, group],
    )

    upload = await bring(
        people, table("SN-1,Lamp,Meters,Hall B", "SN-2,=cmd(),,", "SN-3,,,"), tenant=tenant
    )

    assert upload.said() == ("done", 3, 0, 0)
    query = (
        "SELECT d.name, d.profile_id, m.group_id FROM devices d"
        " LEFT JOIN device_group_members m USING (tenant_id, device_id) WHERE tenant_id = %s ORDER BY d.name"
    )
    assert people.rows(query, tenant) == [
        ("=cmd()", None, None),
        ("Lamp", profile, group),
        ("SN-3", None, None),
    ]
    acts = people.acts(tenant)
    assert acts.count("device.create") == 3
    assert acts[-1] == "device_import.finish"
    assert len(people.told(tenant, "pulse.events.device.created")) == 3
    assert people.count("device_import_parts", tenant) == 0


async def test_bad_lines_are_told_by_number_and_stop_nothing(people: People) -> None:
    data = table("SN-1,Lamp,,", "bad id,,,", "SN-2,,Nobody,", "SN-3,,,Nobody", "", "SN-1,Pump,,")
    upload = await bring(people, data + b"\xff\xfe,,,\r\nSN-4,Last,,")

    assert upload.said() == ("done", 2, 0, 5)
    assert upload.problems().keys() == {3, 4, 5, 7, 8}
    assert "no device profile" in upload.problems()[4]
    assert "other values" in upload.problems()[7]


async def test_same_rows_again_change_nothing_in_the_file_or_in_another(people: People) -> None:
    data = table("SN-1,Lamp,,", "SN-2,Pump,,", "SN-1,Lamp,,")
    first = await bring(people, data)

    again = await bring(people, data + b"SN-2,Another,,\r\n", tenant=first.tenant)

    assert first.said() == ("done", 2, 1, 0)
    assert again.said() == ("done", 0, 3, 1)
    assert people.count("devices", first.tenant) == 2


async def test_json_lines_do_as_well(people: People) -> None:
    data = b'\xef\xbb\xbf{"hardware_id": "SN-1", "name": "Lamp"}\n\n{"hardware_id": "SN-2"}'

    upload = await bring(people, data, form="jsonl")

    assert upload.said() == ("done", 2, 0, 0)


async def test_upload_goes_on_where_it_broke_off_however_it_was_cut(people: People) -> None:
    data = table(*(f"SN-{n},Größe {n},," for n in range(40)))
    upload = await begin(people)
    at = 0
    while at < len(data):
        at = await upload.send(data[at : at + 7], at)
    assert await upload.send(data[:50], 0) == len(data)
    with pytest.raises(Conflict, match=f"{len(data)} bytes are here"):
        await upload.send(b"x", len(data) + 1)

    await upload.act("start")
    with pytest.raises(Conflict):
        await upload.send(b"x", len(data))
    await work_off(people, upload, batch=7)

    assert upload.said() == ("done", 40, 0, 0)


async def test_process_that_dies_in_the_middle_leaves_whole_batches(people: People) -> None:
    upload = await begin(people)
    await upload.send(table(*(f"SN-{n},,," for n in range(10))))
    await upload.act("start")
    await importer(people).work_once()
    [parts] = people.rows(
        "SELECT read_bytes, line FROM device_imports WHERE import_id = %s", upload.import_id
    )

    def die() -> datetime:
        raise asyncio.CancelledError  # when the devices are made and nothing is committed

    with pytest.raises(asyncio.CancelledError):
        await Importer(db=people.db, clock=die, batch=3).work_once()
    assert people.rows(
        "SELECT read_bytes, line FROM device_imports WHERE import_id = %s", upload.import_id
    ) == [parts]
    assert people.count("devices", upload.tenant) == 3
    await work_off(people, upload)

    assert upload.said() == ("done", 10, 0, 0)
    assert people.count("devices", upload.tenant) == 10


async def test_replicas_at_one_import_make_no_device_twice(people: People) -> None:
    upload = await begin(people)
    await upload.send(table(*(f"SN-{n},,," for n in range(60))))
    await upload.act("start")
    workers = [importer(people, 4) for _ in range(4)]

    while upload.said()[0] == "running":
        await asyncio.gather(*(worker.work_once() for worker in workers))

    assert upload.said() == ("done", 60, 0, 0)
    assert people.count("devices", upload.tenant) == 60


async def test_full_plan_stops_the_import_which_goes_on_when_there_is_room(people: People) -> None:
    tenant = people.tenant(devices=4)
    upload = await bring(people, table(*(f"SN-{n},,," for n in range(10))), tenant=tenant)
    stopped = upload.said()

    people.superuser.execute(
        "UPDATE billing_entitlements SET devices = 100 WHERE tenant_id = %s", [tenant]
    )
    await upload.act("start")
    await work_off(people, upload)

    assert stopped == ("failed", 4, 0, 0)
    assert upload.said() == ("done", 10, 0, 0)


async def test_plan_without_devices_takes_none(people: People) -> None:
    tenant = people.tenant(devices=0)

    upload = await bring(people, table("SN-1,,,"), tenant=tenant)

    assert upload.said() == ("failed", 0, 0, 0)
    assert people.count("devices", tenant) == 0


async def test_unpaid_bill_stops_the_import(people: People) -> None:
    tenant = people.tenant()
    upload = await begin(people, tenant)
    await upload.send(table("SN-1,,,"))
    await upload.act("start")
    people.superuser.execute(
        "UPDATE billing_entitlements SET access = 'no_new_devices' WHERE tenant_id = %s", [tenant]
    )

    await work_off(people, upload)

    assert upload.said() == ("failed", 0, 0, 0)
    people.superuser.execute(
        "UPDATE billing_entitlements SET access = 'read_only' WHERE tenant_id = %s", [tenant]
    )
    with pytest.raises(LimitReached):
        await upload.act("start")


@pytest.mark.parametrize(
    "data", [b"nothing,of,ours\n", "\ufeffhardware_id\n".encode("utf-16"), b"hardware_id" * 5000]
)
async def test_file_that_is_none_fails_as_a_whole_and_says_why(people: People, data: bytes) -> None:
    upload = await bring(people, data)

    assert upload.said() == ("failed", 0, 0, 0)
    [(reason,)] = people.rows(
        "SELECT reason FROM device_imports WHERE import_id = %s", upload.import_id
    )
    assert reason


async def test_tokens_are_handed_out_once_and_work(people: People) -> None:
    upload = await bring(people, table("SN-1,,,", "SN-2,,,"), with_tokens=True)

    taken = await upload.tokens()
    assert not (await upload.tokens(taken.tokens[-1].line)).more
    with pytest.raises(Conflict, match="once"):
        await upload.tokens()

    assert [one.hardware_id for one in taken.tokens] == ["SN-1", "SN-2"]
    hashes = {
        row[0]
        for row in people.rows(
            "SELECT token_hash FROM enrolment_tokens WHERE tenant_id = %s", upload.tenant
        )
    }
    assert hashes == {read_token(one.token).digest for one in taken.tokens}


async def test_download_that_broke_off_may_begin_anew_and_its_tokens_end(people: People) -> None:
    upload = await bring(people, table("SN-1,,,", "SN-2,,,", "SN-3,,,"), with_tokens=True)
    assert (await upload.tokens()).more
    people.pass_time(minutes=1)

    first = await upload.tokens()
    second = await upload.tokens(first.tokens[-1].line)

    assert (first.more, second.more) == (True, False)
    query = "SELECT count(*) FROM enrolment_tokens WHERE tenant_id = %s AND expires_at > %s"
    assert people.rows(query, upload.tenant, people.now) == [(3,)]


async def test_imported_hardware_enrols_by_its_fleet_as_the_device_that_was_made(
    people: People,
) -> None:
    fleet = await make_fleet(people, known_only=True)
    upload = await bring(
        people, table("SN-1,Lamp,,"), tenant=fleet.tenant, enrolment_profile_id=fleet.profile
    )

    await fleet.ask("SN-1")

    assert upload.said() == ("done", 1, 0, 0)
    assert people.count("devices", fleet.tenant) == 1


async def test_import_of_another_tenant_is_not_there(people: People) -> None:
    theirs, mine = await begin(people), await begin(people)
    stranger = Upload(people, mine.tenant, mine.token, theirs.import_id)

    for trial in (
        stranger.send(b"x"),
        stranger.act("start"),
        stranger.act("cancel"),
        stranger.tokens(),
    ):
        with pytest.raises(NotFound):
            await trial
    fleet = await make_fleet(people)
    with pytest.raises(NotFound):
        await begin(people, mine.tenant, enrolment_profile_id=fleet.profile)


async def test_cancelled_import_stops_and_its_bytes_go(people: People) -> None:
    upload = await begin(people)
    await upload.send(table(*(f"SN-{n},,," for n in range(10))))
    await upload.act("start")
    await importer(people).work_once()

    await upload.act("cancel")
    await importer(people).work_once()

    assert upload.said() == ("cancelled", 3, 0, 0)
    assert people.count("device_import_parts", upload.tenant) == 0


@pytest.fixture
async def worker_database(
    postgres: Postgres, superuser: psycopg.Connection
) -> AsyncIterator[Database]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    yield database
    await database.close()


async def test_worker_sees_which_imports_run_and_nothing_of_what_is_in_them(
    people: People, worker_database: Database
) -> None:
    upload = await begin(people)

    async with worker_database.service_connection("pulse_provision") as tx:
        assert await tx.all("SELECT import_id FROM device_imports") == [] or all(
            row["import_id"] != upload.import_id
            for row in await tx.all("SELECT import_id FROM device_imports")
        )
        assert await tx.attempt("SELECT created_by FROM device_imports") == 0


_WORKER = """
import asyncio, sys
from provision_api.fleet.importing import Importer
from pulse_common.clock import system_clock
from pulse_common.tenancy import Database

async def main():
    database = Database(sys.argv[1], name="dying")
    await database.open()
    await Importer(db=database, clock=system_clock, batch=5).run()

asyncio.run(main())
"""


async def test_killed_worker_is_followed_by_one_that_makes_every_device_once(
    people: People, postgres: Postgres
) -> None:
    upload = await begin(people)
    await upload.send(table(*(f"SN-{n},,," for n in range(3000))))
    await upload.act("start")
    kills = 0

    while upload.said()[1] < 300:
        before = upload.said()[1]
        worker = await asyncio.create_subprocess_exec(
            sys.executable, "-c", _WORKER, postgres.url("svc_provision_api")
        )
        while upload.said()[1] < before + 50:  # noqa: ASYNC110 -- another process tells of nothing
            await asyncio.sleep(0.01)
        worker.send_signal(signal.SIGKILL)
        await worker.wait()
        kills += 1
    assert upload.said()[0] == "running"
    await work_off(people, upload, batch=500)

    assert kills >= 2
    assert upload.said() == ("done", 3000, 0, 0)
    assert people.count("devices", upload.tenant) == 3000
    assert people.count("device_import_rows", upload.tenant) == 3000
