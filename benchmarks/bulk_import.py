"""An import of 100,000 rows, from the first byte sent to the last device made, by one process beside its database.

Twice: the second time every row is known already.  Fails at 60 s, at 150 MB more than before, or when a device is
missing or too many.
"""

from __future__ import annotations

import asyncio
import base64
import resource
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import Postgres, running_postgres

from provision_api.administrators import Administrators
from provision_api.fleet.importing import Importer
from provision_api.fleet.imports import Imports
from pulse_common import events_fleet as calls
from pulse_common.clock import system_clock
from pulse_common.identity import Principal, Role, TenantId
from pulse_common.ids import new_id
from pulse_common.tenancy import Database
from pulse_common.testing.fakes import FakeVerifier

if TYPE_CHECKING:
    from pulse_common.errors import Unauthenticated

ROWS = 100_000
MOST_SECONDS = 60.0
MOST_MEGABYTES = 150.0
TOKEN = "alice"  # noqa: S105 -- a stand-in's


async def no_refusals(_call: str, _request: str | None, _error: Unauthenticated) -> None:
    return None


def megabytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def bring(database: Database, administrators: Administrators) -> UUID:
    """Send a file part by part, never holding more than one, and work it off."""
    imports = Imports(db=database, clock=system_clock, administrators=administrators)
    import_id = new_id()
    asked = calls.CreateImportRequest(access_token=TOKEN, import_id=import_id, format="csv")
    await imports.create(asked)
    at, part = 0, bytearray(b"hardware_id,name,profile\r\n")
    for number in range(ROWS):
        part += f"SN-{number:08d},Meter {number} in hall B,Meters\r\n".encode()
        if len(part) > calls.LARGEST_PART_BYTES - 100 or number == ROWS - 1:
            sent = calls.SendImportPartRequest(
                access_token=TOKEN,
                import_id=import_id,
                at_byte=at,
                data_base64=base64.b64encode(part).decode(),
            )
            at = (await imports.send(sent)).received_bytes
            part.clear()
    start = calls.ActOnImportRequest(access_token=TOKEN, import_id=import_id, act="start")
    await imports.act(start)
    worker = Importer(db=database, clock=system_clock)
    while await worker.work_once():
        pass
    return import_id


async def measure(cluster: Postgres) -> int:
    tenant = uuid4()
    with psycopg.connect(cluster.superuser, autocommit=True) as rows:
        rows.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
        rows.execute(
            "INSERT INTO device_profiles (tenant_id, profile_id, name) VALUES (%s, %s, 'Meters')",
            [tenant, uuid4()],
        )
        person = Principal(
            subject="alice", tenant=TenantId(tenant), roles=frozenset({Role.TENANT_ADMIN})
        )
        administrators = Administrators(FakeVerifier({TOKEN: person}), no_refusals)
        database = Database(cluster.url("svc_provision_api"), name="bench")
        await database.open()
        failed = 0
        for what in ("new", "known"):
            before, begun = megabytes(), time.monotonic()
            import_id = await bring(database, administrators)
            seconds, more = time.monotonic() - begun, megabytes() - before
            said = rows.execute(
                "SELECT state, created_devices, unchanged_rows FROM device_imports WHERE import_id = %s",
                [import_id],
            ).fetchone()
            print(
                f"{what}: {ROWS} rows in {seconds:.1f} s ({ROWS / seconds:.0f}/s), {more:.0f} MB more, {said}"
            )
            wanted = ("done", ROWS, 0) if what == "new" else ("done", 0, ROWS)
            failed |= seconds > MOST_SECONDS or more > MOST_MEGABYTES or said != wanted
        found = rows.execute("SELECT count(*) FROM devices WHERE tenant_id = %s", [tenant])
        failed |= found.fetchone() != (ROWS,)
        await database.close()
    return int(failed)


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when this one is root
    try:
        with running_postgres(folder) as cluster:
            return asyncio.run(measure(cluster))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
