"""The audit log: what `observe` costs a request, how fast events reach the database, and whether sealing keeps up.

Each flush is measured beside a bare COPY of the same rows (by a superuser, into the same table) in the same run.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from pathlib import Path
from uuid import uuid4

import psycopg

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import Postgres, running_postgres

from cert_worker.sealing.sealer import Sealer
from cert_worker.sealing.signer import FileHeadSigner
from pulse_common.audit import Act
from pulse_common.audit_observe import Observer
from pulse_common.audit_spool import Spool
from pulse_common.clock import system_clock
from pulse_common.identity import TenantId
from pulse_common.tenancy import Database

EVENTS = 40_000
ROUNDS = 4
TENANTS = [TenantId(uuid4()) for _ in range(20)]
COLUMNS = (
    "tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome, reason, address,"
    " user_agent, request_id, before, after, details"
)

MOST_MICROSECONDS = 30.0
LEAST_OF_COPY = 0.5
LEAST_SEALED_PER_SECOND = 10_000


def view(number: int) -> Act:
    return Act(
        actor_kind="user",
        actor_id="9f0c2f3e-6f0e-4c1b-8a53-2f0e5ab0c1aa",
        action="page.view",
        object_kind="page",
        object_id=f"/devices/{number}",
        address="203.0.113.7",
        user_agent="Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        request_id="0198f6d2-7c3a-7a4e-9f10-1a2b3c4d5e6f",
    )


def observe_all(observer: Observer, acts: list[Act]) -> list[float]:
    took = []
    for number, act in enumerate(acts):
        began = time.perf_counter()
        observer.observe(act, TENANTS[number % len(TENANTS)])
        took.append(time.perf_counter() - began)
    return took


def bare_copy(superuser: psycopg.Connection, lines: bytes) -> float:
    began = time.perf_counter()
    with superuser.cursor().copy(f"COPY audit_log ({COLUMNS}) FROM STDIN".encode()) as copy:
        copy.write(lines)
    return time.perf_counter() - began


async def measure(postgres: Postgres, folder: Path) -> bool:
    database = Database(postgres.url("svc_cert_worker"), name="benchmark")
    await database.open()
    async with database.service_connection("pulse_seal") as tx:
        await tx.execute("SELECT ensure_audit_partitions(1)")
    acts = [view(number) for number in range(EVENTS)]
    costs: list[float] = []
    ratios: list[float] = []
    with psycopg.connect(postgres.superuser, autocommit=True) as superuser:
        for number in range(ROUNDS):
            spool = Spool.open(folder / "spool")
            observer = Observer(database, spool, clock=system_clock)
            costs += observe_all(observer, acts)
            spool.close_segment()
            # The same rows under other keys, so that neither finds the other's work done.
            lines = b"".join(path.read_bytes() for path in spool.segments())
            other = b"\n".join(renamed(line) for line in lines.splitlines()) + b"\n"
            copied = bare_copy(superuser, other) if number % 2 else 0.0
            began = time.perf_counter()
            await observer.flush()
            flushed = time.perf_counter() - began
            copied = copied or bare_copy(superuser, other)
            ratios.append(copied / flushed)
            spool.close()
        sealed, seconds = await seal_all(database, folder)
    await database.close()
    return report(costs, ratios, sealed / seconds)


def renamed(line: bytes) -> bytes:
    tenant, _, rest = line.split(b"\t", 2)
    return b"\t".join((tenant, str(uuid4()).encode(), rest))


async def seal_all(database: Database, folder: Path) -> tuple[int, float]:
    signer = FileHeadSigner.open(folder / "seal.key", b"a-passphrase-of-the-benchmark-only")
    sealer = Sealer(database=database, signer=signer, clock=system_clock)
    began, total = time.perf_counter(), 0
    while sealed := await sealer.seal_once():
        total += sealed
    return total, time.perf_counter() - began


def report(costs: list[float], ratios: list[float], sealed: float) -> bool:
    microseconds = statistics.fmean(costs) * 1e6
    slow = statistics.quantiles(costs, n=100)[98] * 1e6
    ratio = statistics.median(ratios)
    print(
        f"observe          {microseconds:8.1f} us a request (99 %: {slow:.1f}), limit {MOST_MICROSECONDS}"
    )
    print(f"flush            {ratio:8.2f} of bare COPY, at least {LEAST_OF_COPY}")
    print(f"sealing          {sealed:8.0f} rows/s, at least {LEAST_SEALED_PER_SECOND}")
    return (
        microseconds < MOST_MICROSECONDS
        and ratio >= LEAST_OF_COPY
        and sealed >= LEAST_SEALED_PER_SECOND
    )


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="pulse-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with running_postgres(folder) as postgres:
            return 0 if asyncio.run(measure(postgres, folder)) else 1


if __name__ == "__main__":
    sys.exit(main())
