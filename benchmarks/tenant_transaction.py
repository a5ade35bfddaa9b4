"""What naming the tenant costs: one indexed SELECT in ``tenant_connection`` beside the same in a plain transaction.

A thousand tenants own a million devices between them.  Plain is what psycopg does by itself, with a pool of the same
kind, size and row factory: BEGIN, SELECT, COMMIT as superuser, whom no policy binds, on the same table.  Fails above
1.6 times the plain transaction's time, or when row-level security keeps the plan from the tenant's index.  Short rounds
alternate, whoever goes first, and the median of their ratios counts: what else the machine does falls on both sides.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import LiteralString
from uuid import UUID

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import Postgres, running_postgres

from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

MOST_RATIO = 1.6
TENANTS = 1000
DEVICES_EACH = 1000
ROUNDS = 301
CALLS = 20
INDEX = "devices_by_tenant"
QUERY: LiteralString = """
    SELECT device_id, name, status FROM devices
     WHERE tenant_id = %(tenant_id)s ORDER BY created_at DESC, device_id LIMIT 1
"""
FILL: tuple[LiteralString, ...] = (
    """
    INSERT INTO tenants (tenant_id, name)
    SELECT lpad(to_hex(n), 32, '0')::uuid, 'Tenant ' || n FROM generate_series(1, %(tenants)s::int) n
    """,
    """
    INSERT INTO devices (tenant_id, device_id, name, created_at)
    SELECT lpad(to_hex(1 + n %% %(tenants)s), 32, '0')::uuid, gen_random_uuid(), 'Device ' || n,
           now() - n * interval '1 second'
      FROM generate_series(0, %(tenants)s::int * %(each)s::int - 1) n
    """,
    "ANALYZE tenants, devices",
)

Pool = AsyncConnectionPool[psycopg.AsyncConnection[DictRow]]


def tenant(number: int) -> TenantId:
    return TenantId(UUID(int=1 + number % TENANTS))


def fill(cluster: Postgres) -> None:
    values = {"tenants": TENANTS, "each": DEVICES_EACH}
    with psycopg.connect(cluster.superuser, autocommit=True) as connection:
        for statement in FILL:
            connection.execute(statement, values if "%" in statement else None)
        connection.execute("CHECKPOINT")  # not in the middle of what is measured


async def named(database: Database) -> float:
    started = time.perf_counter()
    for number in range(CALLS):
        tenant_id = tenant(number)
        async with database.tenant_connection(tenant_id) as tx:
            assert await tx.one_or_none(QUERY, {"tenant_id": tenant_id})
    return time.perf_counter() - started


async def plain(pool: Pool) -> float:
    started = time.perf_counter()
    for number in range(CALLS):
        async with pool.connection() as connection:
            cursor = await connection.execute(QUERY, {"tenant_id": tenant(number)})
            assert await cursor.fetchone()
    return time.perf_counter() - started


async def pair(database: Database, pool: Pool, *, first: int) -> tuple[float, float]:
    if first:
        other = await plain(pool)
        return await named(database), other
    return await named(database), await plain(pool)


async def plan(database: Database) -> str:
    """Return the plan with the tenant's condition from row-level security alone."""
    query = "EXPLAIN SELECT device_id, name, status FROM devices ORDER BY created_at DESC LIMIT 20"
    async with database.tenant_connection(tenant(0)) as tx:
        return "\n".join(str(row["QUERY PLAN"]) for row in await tx.all(query))


async def compare(cluster: Postgres) -> tuple[float, str]:
    """Return the ratio of times and the plan."""
    database = Database(cluster.url("svc_ui_iot"), name="benchmark", max_connections=1)
    await database.open()
    pool: Pool = AsyncConnectionPool(
        cluster.superuser, min_size=1, max_size=1, open=False, kwargs={"row_factory": dict_row}
    )
    await pool.open()
    await named(database), await plain(pool)  # plans and caches are warm
    pairs = [await pair(database, pool, first=number % 2) for number in range(ROUNDS)]
    found = await plan(database)
    await pool.close()
    await database.close()
    for name, side in zip(("tenant", "plain "), zip(*pairs, strict=True), strict=True):
        print(f"{name} transaction  {statistics.median(side) / CALLS * 1e6:7.0f} us")
    return statistics.median(one / other for one, other in pairs), found


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when this one is root
    try:
        with running_postgres(folder) as cluster:
            fill(cluster)
            ratio, found = asyncio.run(compare(cluster))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(found)
    uses_index = INDEX in found and "Seq Scan" not in found
    print(f"ratio of times      {ratio:7.2f} (at most {MOST_RATIO}); index used: {uses_index}")
    sys.exit(ratio > MOST_RATIO or not uses_index)


if __name__ == "__main__":
    main()
