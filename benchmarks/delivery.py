"""200 destinations of which 50 hang: what that costs the others, in one run, on one delivery_worker.

20 tenants have ten routes each, to 200 addresses of the loopback network.  Each reading goes to all ten routes of its
tenant.  In every other stretch of the run 50 routes work on being a burden: 20 accept the request and never answer, 15
refuse the connection, 15 answer a byte a second.  From publishing to arrival at the healthy 150, the p99 with them may
be 1.3 times the p99 without them: of each kind the median of its five stretches, so that something else on this machine
in one of them decides nothing.  `--seconds` is how long a stretch is.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID, uuid4

import httpx2
import psycopg

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import PASSWORD, Nats, Postgres, free_port, running_postgres

from delivery_worker.signing import Safe, new_secret
from pulse_common import logs
from pulse_common.bus import Bus
from pulse_common.events import Reading, telemetry_subject

TENANTS = 20
ROUTES_EACH = 10
SILENT, REFUSING, SLOW = 20, 15, 15
READINGS_PER_SECOND = 10.0
STRETCHES = 10
TARGET = 1.3
KEY = b"k" * 32


@dataclass
class Endpoints:
    """All destinations: each is an address of its own; healthy, silent and slow ones have a port each."""

    healthy_port: int = 0
    silent_port: int = 0
    slow_port: int = 0
    refusing_port: int = field(default_factory=free_port)
    arrivals: list[tuple[float, float]] = field(default_factory=list)
    """When a reading was published and how long it took to its destination."""
    bothered: int = 0

    async def start(self) -> None:
        for name, serve in (
            ("healthy_port", self._answer),
            ("silent_port", self._say_nothing),
            ("slow_port", self._dawdle),
        ):
            server = await asyncio.start_server(serve, "0.0.0.0", 0, backlog=1000)  # noqa: S104 -- all of 127.0.0.0/8
            setattr(self, name, server.sockets[0].getsockname()[1])

    def urls(self) -> list[tuple[str, bool]]:
        """Return the URL of each route and whether it hangs."""
        ports = [self.silent_port] * SILENT + [self.refusing_port] * REFUSING
        ports += [self.slow_port] * SLOW
        ports += [self.healthy_port] * (TENANTS * ROUTES_EACH - len(ports))
        return [
            (f"http://127.1.{number}.1:{port}/hook", port != self.healthy_port)
            for number, port in enumerate(ports)
        ]

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                body = await _read(reader)
                published = json.loads(body)["data"]["metrics"]["at"]
                self.arrivals.append((published, time.time() - published))
                writer.write(b"HTTP/1.1 204 X\r\n\r\n")
        writer.close()

    async def _say_nothing(self, reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await _read(reader)
            self.bothered += 1
            await reader.read()

    async def _dawdle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            await _read(reader)
            self.bothered += 1
            for letter in b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n":
                writer.write(bytes([letter]))
                await writer.drain()
                await asyncio.sleep(1)
        writer.close()


async def _read(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(
        int(line.partition(b":")[2])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length:")
    )
    return await reader.readexactly(length)


def seed(postgres: Postgres, endpoints: Endpoints) -> list[UUID]:
    """Make the tenants with their routes; those that hang are spread over all of them, and not verified yet."""
    safe, tenants = Safe([KEY]), [uuid4() for _ in range(TENANTS)]
    with psycopg.connect(postgres.superuser, autocommit=True) as database:
        for tenant in tenants:
            database.execute(
                "INSERT INTO tenants (tenant_id, name) VALUES (%s, %s)", [tenant, str(tenant)]
            )
        for number, (url, hangs) in enumerate(endpoints.urls()):
            tenant, route = tenants[number % TENANTS], uuid4()
            database.execute(
                "INSERT INTO routes (tenant_id, route_id, name, url, event_types, secret_sealed, status)"
                " VALUES (%s, %s, %s, %s, '{telemetry}', %s, %s)",
                [
                    tenant,
                    route,
                    "hangs" if hangs else "works",
                    url,
                    safe.seal(new_secret(), tenant, route),
                    "unverified" if hangs else "active",
                ],
            )
    return tenants


def let_hang(postgres: Postgres, *, hang: bool) -> None:
    with psycopg.connect(postgres.superuser, autocommit=True) as database:
        database.execute(
            "UPDATE routes SET status = %s WHERE name = 'hangs'",
            ["active" if hang else "unverified"],
        )


def start_worker(postgres: Postgres, nats: Nats, endpoints: Endpoints, log: Path) -> Worker:
    ports = (
        endpoints.healthy_port,
        endpoints.silent_port,
        endpoints.slow_port,
        endpoints.refusing_port,
    )
    port = free_port()
    environment = {
        "PATH": os.defpath,
        "PULSE_ENV": "development",
        "HTTP_PORT": str(port),
        "DATABASE_URL": postgres.url("svc_delivery_worker"),
        "NATS_URL": nats.url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "DELIVERY_SECRET_KEY": base64.b64encode(KEY).decode(),
        "DELIVERY_ALLOW_HTTP": "true",
        "DELIVERY_ALLOWED_NETWORKS": "127.0.0.0/8",
        "DELIVERY_ALLOWED_PORTS": ",".join(map(str, ports)),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "delivery_worker"], env=environment, stdout=output, stderr=output
        )
    return Worker(process, port)


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    port: int

    async def ready(self) -> None:
        async with asyncio.timeout(30), httpx2.AsyncClient() as client:
            while True:
                with suppress(httpx2.TransportError):
                    answer = await client.get(f"http://127.0.0.1:{self.port}/readyz")
                    if answer.status_code == httpx2.codes.OK:
                        return
                await asyncio.sleep(0.1)

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(30)


async def publish(bus: Bus, tenants: list[UUID], seconds: float) -> None:
    """Publish evenly, a tenant after the other."""
    began = time.monotonic()
    for number in range(int(seconds * READINGS_PER_SECOND)):
        await asyncio.sleep(max(0.0, began + number / READINGS_PER_SECOND - time.monotonic()))
        now = datetime.now(UTC)  # noqa: TID251 -- the load's own clock
        reading = Reading(
            tenant_id=tenants[number % TENANTS],
            device_id=uuid4(),
            message_id=uuid4(),
            ts=now,
            received_at=now,
            metrics={"at": time.time()},
        )
        await bus.publish_stored(
            telemetry_subject(reading.tenant_id, reading.device_id),
            reading.to_bytes(),
            message_id=str(reading.message_id),
        )


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[math.ceil(len(values) * share) - 1]


def say(name: str, times: list[float]) -> float:
    p99 = percentile(times, 0.99)
    print(
        f"{name}: {len(times)} deliveries, p50 {percentile(times, 0.5) * 1e3:.1f} ms, p99 {p99 * 1e3:.1f} ms"
    )
    return p99


async def alternate(
    postgres: Postgres,
    bus: Bus,
    tenants: list[UUID],
    worker: Worker,
    endpoints: Endpoints,
    seconds: float,
) -> tuple[dict[bool, list[float]], int]:
    """Publish with those that hang and without, in turn; return the p99s of both and how much arrived."""
    p99s: dict[bool, list[float]] = {False: [], True: []}
    arrived = 0
    for stretch in range(STRETCHES):
        hang = stretch % 2 == 1
        let_hang(postgres, hang=hang)
        await asyncio.sleep(2.5)  # routes are read anew every two seconds
        endpoints.arrivals.clear()
        cpu, began = worker.cpu_seconds(), time.monotonic()
        await publish(bus, tenants, seconds)
        await asyncio.sleep(2)
        cpu = (worker.cpu_seconds() - cpu) / (time.monotonic() - began)
        times = [took for _, took in endpoints.arrivals]
        arrived += len(times)
        p99s[hang].append(
            say(f"{'with' if hang else 'without'} (worker {cpu:.0%} of a core)", times)
        )
    return p99s, arrived


async def measure(postgres: Postgres, nats: Nats, folder: Path, seconds: float) -> bool:
    endpoints = Endpoints()
    await endpoints.start()
    tenants = seed(postgres, endpoints)
    bus = await Bus.connect(url=nats.url, user="test", password=PASSWORD, service="benchmark")
    worker = start_worker(postgres, nats, endpoints, folder / "worker.log")
    try:
        await worker.ready()
        await asyncio.sleep(3)
        await publish(bus, tenants, 5)
        p99s, arrived = await alternate(postgres, bus, tenants, worker, endpoints, seconds)
    finally:
        worker.stop()
        await bus.close()
    healthy = TENANTS * ROUTES_EACH - SILENT - REFUSING - SLOW
    complete = arrived >= int(seconds * READINGS_PER_SECOND) * healthy // TENANTS * STRETCHES
    burdened, free = (statistics.median(p99s[hang]) for hang in (True, False))
    print(f"calls that hung: {endpoints.bothered}; healthy deliveries: {arrived}")
    print(f"median p99 with 50 that hang {burdened * 1e3:.0f} ms, without {free * 1e3:.0f} ms")
    print(f"ratio: {burdened / free:.2f} (at most {TARGET})")
    return burdened / free <= TARGET and complete and endpoints.bothered > 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=8.0)
    seconds = parser.parse_args().seconds
    logs.configure("benchmark", "WARNING")
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when this one is root
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = stack.enter_context(running_postgres(folder))
        nats = Nats(free_port(), folder / "nats")
        nats.start()
        stack.callback(nats.kill)
        return 0 if asyncio.run(measure(postgres, nats, folder, seconds)) else 1


if __name__ == "__main__":
    sys.exit(main())
