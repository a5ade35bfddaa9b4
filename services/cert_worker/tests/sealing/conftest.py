"""The sealer on a database of its own, and the auditor's command beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
import pytest

from cert_worker.sealing.places import FilePlace, Teller
from cert_worker.sealing.sealer import Sealer
from cert_worker.sealing.signer import FileHeadSigner
from pulse_audit.__main__ import main as pulse_audit
from pulse_common import migrations
from pulse_common.audit import Act, record
from pulse_common.audit_export import sealed_export
from pulse_common.clock import system_clock
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.parts import Postgres

PASSPHRASE = b"a-passphrase-of-at-least-32-characters"
DATABASE = "sealing_test"


@dataclass
class World:
    """``superuser`` is the administrator of the database, who may do everything in it and has no key."""

    database: Database
    tenants: Database
    superuser: psycopg.Connection
    folder: Path
    signer: FileHeadSigner
    sealer: Sealer
    teller: Teller
    tenant: TenantId = field(default_factory=lambda: TenantId(uuid4()))

    async def act(self, object_id: str = "lamp", tenant: UUID | None = None) -> None:
        async with self.tenants.tenant_connection(TenantId(tenant or self.tenant)) as tx:
            await record(
                tx,
                Act(
                    actor_kind="user",
                    actor_id="alice",
                    action="device.rename",
                    object_kind="device",
                    object_id=object_id,
                    reason='é "quoted" \\ \t 🙂',
                    before={"name": "Lamp", "n": 1.50},
                    after={"name": "Lantern"},
                ),
            )

    async def seal(self, *names: str) -> None:
        """Write one act for each name, and seal them as one batch."""
        for name in names:
            await self.act(name)
        await self.sealer.seal_once()

    async def export(self) -> str:
        lines = sealed_export(
            lambda: self.tenants.tenant_connection(self.tenant), self.tenant, system_clock()
        )
        return "".join([line async for line in lines])

    async def verify(self, *more: str) -> int:
        (self.folder / "export").write_text(await self.export(), encoding="utf-8")
        return self.audit("verify", "export", *more)

    def audit(self, command: str, name: str, *more: str) -> int:
        (self.folder / "key").write_bytes(self.signer.public_pem)
        path, key = str(self.folder / name), str(self.folder / "key")
        return pulse_audit([command, path, "--key", key, *more])

    def heads(self) -> Path:
        [found] = (self.folder / "heads").iterdir()
        return found

    def ids(self) -> list[str]:
        rows = self.superuser.execute(
            "SELECT audit_id::text FROM audit_log WHERE tenant_id = %s ORDER BY xid, at, audit_id",
            [self.tenant],
        )
        return [str(row[0]) for row in rows]


@pytest.fixture(scope="session")
def sealing_database(postgres: Postgres, pytestconfig: pytest.Config) -> str:
    with psycopg.connect(postgres.superuser, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {DATABASE}")
    url = _in(postgres.superuser)
    migrations.apply(url, pytestconfig.rootpath / "db")
    return url


@pytest.fixture
async def world(sealing_database: str, postgres: Postgres, tmp_path: Path) -> AsyncIterator[World]:
    database = Database(_in(postgres.url("svc_cert_worker")), name="cert_worker")
    tenants = Database(_in(postgres.url("svc_ui_iot")), name="ui_iot")
    await database.open()
    await tenants.open()
    signer = FileHeadSigner.open(tmp_path / "audit-seal.key", PASSPHRASE)
    with psycopg.connect(sealing_database, autocommit=True) as superuser:
        superuser.execute(
            "DELETE FROM audit_log; DELETE FROM audit_seals; DELETE FROM audit_seal_runs; DELETE FROM audit_cursors"
        )
        yield World(
            database=database,
            tenants=tenants,
            superuser=superuser,
            folder=tmp_path,
            signer=signer,
            sealer=Sealer(database=database, signer=signer, clock=system_clock),
            teller=Teller(database, FilePlace(tmp_path / "heads", system_clock)),
        )
    await tenants.close()
    await database.close()


def _in(url: str) -> str:
    return f"{url.rpartition('/')[0]}/{DATABASE}"
