"""One tenant sends 50 times what its plan allows: does its neighbour notice?

mosquitto, NATS, PostgreSQL and one ingest_worker share this machine's cores with the load.  The neighbour's devices
publish at a steady rate and are watched live, in turns with the flood and without it; the middle of the rounds' p99 is
compared.  Fails when the flood makes it more than 1.5 times as long, when nothing was limited, or when a reading of the
neighbour's is missing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
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
    from multiprocessing.sharedctypes import Synchronized
    from multiprocessing.synchronize import Event
    from uuid import UUID

ROUNDS = 5
ROUND_SECONDS = 4.0
NEIGHBOUR_RATE = 100
ALLOWED = 10
TIMES_OVER = 50
TARGET = 1.5
STEP_SECONDS = 0.01


def limit(postgres: Postgres, tenant: UUID) -> None:
    with psycopg.connect(postgres.superuser) as connection:
        connection.execute(
            "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, messages_per_second,"
            " hard_limits, features, cause, applied_at)"
            " VALUES (%s, 1, 'free', 'full', %s, true, '{}', 'benchmark', now())",
            [tenant, ALLOWED],
        )


class Flood:
    """A process of its own: what it costs to send is not what the neighbour waits for."""

    def __init__(self, port: int, owners: list[tuple[UUID, UUID]]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._on, self._over = spawn.Event(), spawn.Event()
        self._sent = spawn.Value("q", 0)
        self._process = spawn.Process(
            target=_flood, args=(port, owners, self._on, self._over, self._sent)
        )
        self._process.start()

    @property
    def sent(self) -> int:
        return int(self._sent.value)

    async def beside(self, work: Awaitable[list[float]]) -> list[float]:
        self._on.set()
        try:
            return await work
        finally:
            self._on.clear()

    def end(self) -> None:
        self._over.set()
        self._process.join()


def _flood(
    port: int, owners: list[tuple[UUID, UUID]], on: Event, over: Event, sent: Synchronized[int]
) -> None:
    async def send() -> None:
        load = Load(port, owners, "loud")
        await load.connect()
        while not over.is_set():
            await asyncio.sleep(STEP_SECONDS)
            if on.is_set():
                await load.publish(int(ALLOWED * TIMES_OVER * STEP_SECONDS))
                sent.value = load.sent
        await load.close()

    asyncio.run(send())


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
    flood = Flood(broker, [owner for owner in owners if owner[0] == loud])
    stack.callback(flood.end)
    neighbour = Load(broker, [owner for owner in owners if owner[0] == quiet], "quiet")
    await neighbour.connect()
    await asyncio.sleep(1)
    alone: list[float] = []
    beside: list[float] = []
    for number in range(ROUNDS + 1):
        for found, flooded in ((alone, False), (beside, True)):
            watched = live_delays(
                neighbour, server, NEIGHBOUR_RATE, ROUND_SECONDS, live_subject(quiet)
            )
            delays = await (flood.beside(watched) if flooded else watched)
            if number:  # the first round warms everything up
                found.append(statistics.quantiles(delays, n=100)[98])
    await asyncio.sleep(2)
    stored, passed = count_rows(postgres, quiet), count_rows(postgres, loud)
    await neighbour.close()
    times = statistics.median(beside) / statistics.median(alone)
    print(
        f"neighbour's p99 alone {statistics.median(alone):.1f} ms, beside a flood of {TIMES_OVER} times its limit"
        f" {statistics.median(beside):.1f} ms: {times:.2f} times (at most {TARGET})"
    )
    print(f"neighbour: {stored} of {neighbour.sent} stored; flood: {passed} of {flood.sent}")
    return times <= TARGET and stored == neighbour.sent and passed < flood.sent / 10


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
