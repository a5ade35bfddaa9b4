"""One tenant sends 50 times what its plan allows: does its neighbour notice?

mosquitto, NATS, PostgreSQL and one ingest_worker share this machine's cores with the load.  The neighbour's devices
publish at a steady rate and are watched live, in turns with the flood and without it; the middle of the rounds' p99 is
compared.  Fails when the flood makes it more than 1.5 times as long, when nothing was limited, or when a reading of the
neighbour's is missing.
"""

from __future__ import annotations

import asyncio
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.telemetry import (
    Load,
    add_devices,
    find_mosquitto,
    live_delays,
    raise_file_limit,
    start_ingest,
    start_mosquitto,
)
from tests.parts import Nats, Postgres, free_port, running_postgres

from pulse_common import logs
from pulse_common.events import live_subject

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from uuid import UUID

ROUNDS = 5
ROUND_SECONDS = 4.0
NEIGHBOUR_RATE = 100
ALLOWED = 10
TIMES_OVER = 50
TARGET = 1.5


def limit(postgres: Postgres, tenant: UUID) -> None:
    with psycopg.connect(postgres.superuser) as connection:
        connection.execute(
            "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, messages_per_second,"
            " hard_limits, features, cause, applied_at)"
            " VALUES (%s, 1, 'free', 'full', %s, true, '{}', 'benchmark', now())",
            [tenant, ALLOWED],
        )


async def flood(load: Load) -> None:
    while True:
        await load.publish(ALLOWED * TIMES_OVER // 100)
        await asyncio.sleep(1 / 100)


async def with_flood(load: Load, work: Awaitable[list[float]]) -> list[float]:
    flooding = asyncio.create_task(flood(load))
    try:
        return await work
    finally:
        flooding.cancel()
        with suppress(asyncio.CancelledError):
            await flooding


def count_rows(postgres: Postgres, tenant: UUID) -> int:
    with psycopg.connect(postgres.superuser) as connection:
        row = connection.execute(
            "SELECT count(*) FROM telemetry WHERE tenant_id = %s", [tenant]
        ).fetchone()
    assert row is not None
    return int(row[0])


async def measure(program: str, folder: Path, stack: ExitStack) -> bool:
    postgres = stack.enter_context(running_postgres(folder))
    server = Nats(free_port(), folder / "nats")
    server.start()
    stack.callback(server.kill)
    broker = start_mosquitto(program, folder, stack)
    owners = add_devices(postgres)
    loud, quiet = owners[0][0], owners[1][0]
    limit(postgres, loud)
    start_ingest(postgres, server, broker, folder, stack)
    flooder = Load(broker, [owner for owner in owners if owner[0] == loud], "loud")
    neighbour = Load(broker, [owner for owner in owners if owner[0] == quiet], "quiet")
    await flooder.connect()
    await neighbour.connect()
    await asyncio.sleep(1)
    alone: list[float] = []
    beside: list[float] = []
    for number in range(ROUNDS + 1):
        for found, flooded in ((alone, False), (beside, True)):
            watched = live_delays(
                neighbour, server, NEIGHBOUR_RATE, ROUND_SECONDS, live_subject(quiet)
            )
            delays = await (with_flood(flooder, watched) if flooded else watched)
            if number:  # the first round warms everything up
                found.append(statistics.quantiles(delays, n=100)[98])
    await asyncio.sleep(2)
    stored, passed = count_rows(postgres, quiet), count_rows(postgres, loud)
    await flooder.close()
    await neighbour.close()
    times = statistics.median(beside) / statistics.median(alone)
    print(
        f"neighbour's p99 alone {statistics.median(alone):.1f} ms, beside a flood of {TIMES_OVER} times its limit"
        f" {statistics.median(beside):.1f} ms: {times:.2f} times (at most {TARGET})"
    )
    print(f"neighbour: {stored} of {neighbour.sent} stored; flood: {passed} of {flooder.sent}")
    return times <= TARGET and stored == neighbour.sent and passed < flooder.sent / 10


def main() -> None:
    program = find_mosquitto()
    if program is None:
        print("SKIPPED: mosquitto is not installed (Debian: apt-get install mosquitto)")
        return
    logs.configure("neighbour", "WARNING")
    raise_file_limit()
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when this one is root
    try:
        with ExitStack() as stack:
            good = asyncio.run(measure(program, folder, stack))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
