"""A tenant's archive: how fast it comes beside a bare COPY of the same rows, and that its size costs no memory."""

from __future__ import annotations

import asyncio
import hashlib
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import Postgres, running_postgres

from pulse_common.clock import system_clock
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database
from ui_iot import archive_store
from ui_iot.archive import Archive
from ui_iot.archive_tables import TABLES

if TYPE_CHECKING:
    from ui_iot.archive_store import Page
    from ui_iot.archive_table import Table

ROWS = 1_000_000
SMALL = 50_000
MOST_MEMORY = 48 * 1024 * 1024
_FILL = """
    INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)
    SELECT %(tenant)s, %(device)s, '2020-01-01Z'::timestamptz + n * interval '1 second', gen_random_uuid(),
           jsonb_build_object('temperature', n %% 100, 'humidity', n %% 50, 'pressure', n), now()
      FROM generate_series(1, %(rows)s) n
"""


def fill(connection: psycopg.Connection, rows: int) -> TenantId:
    tenant = TenantId(uuid4())
    connection.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Archive')", [tenant])
    connection.execute(_FILL, {"tenant": tenant, "device": uuid4(), "rows": rows})
    connection.execute("ANALYZE telemetry")
    return tenant


def copied(connection: psycopg.Connection, tenant: TenantId) -> float:
    """Copy the rows as JSON and hash them: what nobody can do without."""
    began, sums = time.perf_counter(), hashlib.sha256()
    query = "COPY (SELECT to_jsonb(t) FROM telemetry t WHERE tenant_id = {}) TO STDOUT"
    with connection.cursor().copy(psycopg.sql.SQL(query).format(str(tenant))) as copy:
        for block in copy:
            sums.update(block)
    return time.perf_counter() - began


async def taken(database: Database, tenant: TenantId) -> tuple[float, int, int, int]:
    """Return seconds, rows, bytes and the most memory that Python held."""

    async def read(table: Table, after: tuple[Any, ...] | None) -> Page:
        async with database.tenant_connection(tenant) as tx:
            return await archive_store.read_page(tx, table, tenant, after)

    archive = Archive(tenant=tenant, tables=TABLES, read=read, clock=system_clock, about={})
    tracemalloc.start()
    began, size = time.perf_counter(), 0
    async for part in archive.stream():
        size += len(part)
    size += len(archive.finish())
    seconds, most = time.perf_counter() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return seconds, archive.rows, size, most


async def measure(postgres: Postgres) -> None:
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        small, large = fill(connection, SMALL), fill(connection, ROWS)
        database = Database(postgres.url("svc_ui_iot"), name="benchmark")
        await database.open()
        _, _, _, little = await taken(database, small)
        bare = copied(connection, large)
        seconds, rows, size, most = await taken(database, large)
        await database.close()
    print(
        f"{rows:,} rows, {size / 2**20:.0f} MiB, in {seconds:.1f} s: {rows / seconds:,.0f} rows/s"
    )
    print(f"a bare COPY with a hash takes {bare:.1f} s: {bare / seconds:.2f} of its rate, packed")
    print(
        f"most memory: {little / 2**20:.1f} MiB for {SMALL:,} rows, {most / 2**20:.1f} MiB for all"
    )
    if rows <= ROWS or most > MOST_MEMORY:
        sys.exit("an archive holds more than its parts in memory, or lacks rows")


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="pulse-archive-") as folder:
        Path(folder).chmod(0o755)
        with running_postgres(Path(folder)) as postgres:
            asyncio.run(measure(postgres))


if __name__ == "__main__":
    main()
