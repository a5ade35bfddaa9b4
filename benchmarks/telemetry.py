"""From mosquitto to committed rows with 1,000 devices and 200 B messages, and the store step beside a bare pull loop.

Everything shares this machine's cores: the load, the broker, NATS, PostgreSQL and one ingest_worker.  First as much as
goes through with at most 4,000 messages under way; then half of that, watched live; then the store step alone beside a
bare nats-py loop that pulls and acknowledges the same messages.  `--seconds 60` for the long run.  Fails below 5,000
rows/s, at a p99 of 500 ms or more from publish to live, when memory grows by a quarter, or below 0.6 of the bare loop.
What ingest needs of a core for each message is printed too: on a busy machine the only figure that says something.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx2
import nats
import psycopg

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import PASSWORD, Nats, Postgres, free_port, running_postgres, wait_for_port

from ingest_worker.writer import AT_A_TIME, CONSUMER, Writer
from pulse_common import events, logs
from pulse_common.bus import Bus
from pulse_common.clock import system_clock
from pulse_common.consume import consume_batches
from pulse_common.events import Reading, telemetry_subject
from pulse_common.ids import new_id
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from nats.aio.msg import Msg

    from pulse_common.messaging import Message, Outcome

DEVICES = 1000
CONNECTIONS = 10
UNDER_WAY = 4000
STORED_ALONE = 20_000
PAYLOAD_BYTES = 200
ROWS_TARGET = 5000
LIVE_TARGET_MS = 500
STORE_TARGET = 0.6


def find_mosquitto() -> str | None:
    return shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")


def field_of(text: bytes) -> bytes:
    return len(text).to_bytes(2, "big") + text


def packet(kind: int, body: bytes) -> bytes:
    size, length = len(body), bytearray()
    while True:
        size, digit = divmod(size, 128)
        length.append(digit | (128 if size else 0))
        if not size:
            return bytes([kind]) + bytes(length) + body


@dataclass
class Load:
    """Publishes as the tenants' devices over a few connections; the broker's PUBACKs are counted, not looked at."""

    port: int
    owners: list[tuple[UUID, UUID]]
    name: str = "load"
    sent: int = 0
    acknowledged: int = 0
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _readers: list[asyncio.Task[None]] = field(default_factory=list)

    async def connect(self) -> None:
        for number in range(CONNECTIONS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            hello = (
                field_of(b"MQTT") + b"\x04\x02\x00\x00" + field_of(f"{self.name}-{number}".encode())
            )
            writer.write(packet(0x10, hello))
            await reader.readexactly(4)
            self._writers.append(writer)
            self._readers.append(asyncio.create_task(self._count(reader)))

    async def _count(self, reader: asyncio.StreamReader) -> None:
        while found := await reader.read(65_536):
            self.acknowledged += len(found) // 4

    async def publish(self, count: int) -> None:
        now = int(time.time() * 1000)
        for _ in range(count):
            tenant, device = self.owners[self.sent % len(self.owners)]
            content = b'{"ts":%d,"metrics":{"number":%d,"at":%.6f,"pad":"' % (
                now,
                self.sent,
                time.time(),
            )
            payload = content + b"x" * (PAYLOAD_BYTES - len(content) - 3) + b'"}}'
            topic = b"tenant/%s/device/%s/telemetry" % (str(tenant).encode(), str(device).encode())
            packet_id = (self.sent // CONNECTIONS % 65_535 + 1).to_bytes(2, "big")
            writer = self._writers[self.sent % CONNECTIONS]
            writer.write(packet(0x32, field_of(topic) + packet_id + payload))
            self.sent += 1
        for writer in self._writers:
            await writer.drain()

    async def close(self) -> None:
        for task in self._readers:
            task.cancel()
        for writer in self._writers:
            writer.close()


@dataclass
class Ingest:
    process: subprocess.Popen[bytes]
    port: int

    async def stored(self) -> int:
        async with httpx2.AsyncClient() as http:
            text = (await http.get(f"http://127.0.0.1:{self.port}/metrics")).text
        lines = [line for line in text.splitlines() if line.startswith("pulse_ingest_stored_total")]
        return int(float(lines[0].split()[-1]))

    def memory_mb(self) -> float:
        text = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in text.splitlines() if line.startswith("VmRSS"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def start_mosquitto(program: str, folder: Path, stack: ExitStack) -> int:
    port = free_port()
    configuration = folder / "mosquitto.conf"
    lines = [
        f"listener {port} 127.0.0.1",
        "allow_anonymous true",
        "max_inflight_messages 0",
        "max_queued_messages 100000",
        # As EMQX does by itself: otherwise a PUBACK to us holds back the next message until our kernel acknowledges it.
        "set_tcp_nodelay true",
        *(["user root"] if os.getuid() == 0 else []),
    ]
    configuration.write_text("\n".join(lines) + "\n")
    quiet = subprocess.DEVNULL
    started = subprocess.Popen([program, "-c", str(configuration)], stdout=quiet, stderr=quiet)  # noqa: S603
    stack.callback(started.wait)
    stack.callback(started.terminate)
    wait_for_port(port)
    return port


def start_ingest(
    postgres: Postgres, server: Nats, broker: int, folder: Path, stack: ExitStack
) -> Ingest:
    port = free_port()
    environment = {
        "PATH": os.defpath,
        "PULSE_ENV": "production",
        "LOG_LEVEL": "WARNING",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(port),
        "DATABASE_URL": postgres.url("svc_ingest_worker"),
        "NATS_URL": server.url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "MQTT_HOST": "127.0.0.1",
        "MQTT_PORT": str(broker),
        "MQTT_USERNAME": "svc_ingest_worker",
        "MQTT_PASSWORD": "m" * 32,
        "MQTT_CLIENT_ID": "ingest-bench",
    }
    command = [sys.executable, "-m", "ingest_worker"]
    log = stack.enter_context((folder / "ingest.log").open("wb"))
    started = subprocess.Popen(command, env=environment, stdout=log, stderr=log)  # noqa: S603
    stack.callback(started.wait)
    stack.callback(started.terminate)
    wait_for_port(port, 30)
    return Ingest(started, port)


async def at_most(load: Load, ingest: Ingest, seconds: float) -> tuple[float, float]:
    """Return rows/s and microseconds of a core for each row, with as much under way as is allowed."""
    already, sent = await ingest.stored(), load.sent
    began, cpu = time.monotonic(), ingest.cpu_seconds()
    stored = already
    while time.monotonic() - began < seconds:
        room = UNDER_WAY - ((load.sent - sent) - (stored - already))
        if room > 0:
            await load.publish(min(room, 500))
            continue
        # Looked at seldom: each look costs the cores that are being measured.
        await asyncio.sleep(0.1)
        stored = await ingest.stored()
    took, used = time.monotonic() - began, ingest.cpu_seconds() - cpu
    return (stored - already) / took, used / max(1, stored - already) * 1e6


async def until_all_in(load: Load, ingest: Ingest) -> bool:
    for _ in range(300):
        if await ingest.stored() >= load.sent:
            return await ingest.stored() == load.sent
        await asyncio.sleep(0.1)
    return False


async def live_delays(
    load: Load, server: Nats, rate: float, seconds: float, subject: str = "pulse.live.*"
) -> list[float]:
    """Publish at a steady rate and return how long each took to be shown, in milliseconds."""
    delays: list[float] = []
    watcher = await nats.connect(server.url, user="test", password=PASSWORD)

    async def see(message: Msg) -> None:
        said = Reading.model_validate_json(message.data).metrics["at"]
        delays.append((time.time() - float(said)) * 1000)

    await watcher.subscribe(subject, cb=see)
    began, sent = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        due = int(passed * rate) - sent
        await load.publish(due)
        sent += due
        await asyncio.sleep(0.01)
    await asyncio.sleep(1)
    await watcher.close()
    return delays


async def store_alone(
    postgres: Postgres, server: Nats, owners: list[tuple[UUID, UUID]]
) -> tuple[float, float]:
    """Return messages/s of a bare pull-and-acknowledge loop, and of ours, which commits them as rows."""
    bus = await Bus.connect(url=server.url, user="test", password=PASSWORD, service="ingest_worker")
    await bus.jetstream.purge_stream(events.STREAM_TELEMETRY)
    now = system_clock()
    for start in range(0, STORED_ALONE, 500):
        await asyncio.gather(
            *(publish_one(bus, *owners[n % DEVICES], n, now) for n in range(start, start + 500))
        )
    bare = await bare_loop(bus)
    database = Database(postgres.url("svc_ingest_worker"), name="bench")
    await database.open()
    writer = Writer(database, system_clock)
    before, committed, complete = count_rows(postgres), 0, asyncio.Event()

    async def store(messages: list[Message]) -> list[Outcome]:
        nonlocal committed
        outcomes = await writer.store_batch(messages)
        committed += len(messages)
        if committed >= STORED_ALONE:
            complete.set()
        return outcomes

    began = time.monotonic()
    working = asyncio.gather(*(consume_batches(bus, CONSUMER, store) for _ in range(AT_A_TIME)))
    await complete.wait()
    ours = STORED_ALONE / (time.monotonic() - began)
    assert count_rows(postgres) - before == STORED_ALONE
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    await database.close()
    await bus.close()
    return bare, ours


async def publish_one(bus: Bus, tenant: UUID, device: UUID, number: int, now: object) -> None:
    reading = Reading.model_validate(
        {
            "tenant_id": tenant,
            "device_id": device,
            "message_id": new_id(),
            "ts": now,
            "received_at": now,
            "metrics": {"number": float(number), "pad": "x" * 60},
        }
    )
    await bus.publish_stored(
        telemetry_subject(tenant, device), reading.to_bytes(), message_id=str(reading.message_id)
    )


async def bare_loop(bus: Bus) -> float:
    subscription = await bus.jetstream.pull_subscribe("pulse.telemetry.>", "bare")
    began, seen = time.monotonic(), 0
    while seen < STORED_ALONE:
        messages = await subscription.fetch(CONSUMER.batch, timeout=5)
        for message in messages:
            await message.ack()
        seen += len(messages)
    await subscription.unsubscribe()
    return seen / (time.monotonic() - began)


def count_rows(postgres: Postgres) -> int:
    with psycopg.connect(postgres.superuser) as connection:
        row = connection.execute("SELECT count(*) FROM telemetry").fetchone()
    assert row is not None
    return int(row[0])


def add_devices(postgres: Postgres) -> list[tuple[UUID, UUID]]:
    tenants = [uuid4() for _ in range(10)]
    owners = [(tenants[n % 10], uuid4()) for n in range(DEVICES)]
    with psycopg.connect(postgres.superuser) as connection, connection.cursor() as cursor:
        for tenant in tenants:
            cursor.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'x')", [tenant])
        cursor.executemany(
            "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'x')", owners
        )
    return owners


async def measure(program: str, folder: Path, seconds: float, stack: ExitStack) -> bool:
    postgres = stack.enter_context(running_postgres(folder))
    server = Nats(free_port(), folder / "nats")
    server.start()
    stack.callback(server.kill)
    broker = start_mosquitto(program, folder, stack)
    owners = add_devices(postgres)
    ingest = start_ingest(postgres, server, broker, folder, stack)
    load = Load(broker, owners)
    await load.connect()
    await asyncio.sleep(1)
    await at_most(load, ingest, 3)
    memory = ingest.memory_mb()
    rows, micros = await at_most(load, ingest, seconds)
    complete = await until_all_in(load, ingest)
    grown = ingest.memory_mb() / memory
    delays = await live_delays(load, server, min(rows, ROWS_TARGET) / 2, min(seconds, 20))
    p99 = statistics.quantiles(delays, n=100)[98]
    complete = complete and await until_all_in(load, ingest)
    await load.close()
    ingest.process.terminate()
    ingest.process.wait()
    bare, ours = await store_alone(postgres, server, owners)
    print(
        f"mosquitto to committed rows: {rows:,.0f}/s (target {ROWS_TARGET:,}), all in: {complete}"
    )
    print(f"of a core for each message: {micros:,.0f} us; memory x{grown:.2f} ({memory:.0f} MB)")
    print(f"publish to live at half load: p99 {p99:,.0f} ms (target below {LIVE_TARGET_MS})")
    print(f"store step {ours:,.0f}/s beside a bare loop's {bare:,.0f}/s: {ours / bare:.2f} (0.6)")
    good = rows >= ROWS_TARGET and p99 < LIVE_TARGET_MS and grown < 1.25 and complete
    return good and ours / bare >= STORE_TARGET


def raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard) if soft < hard else soft, hard))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=10)
    seconds = parser.parse_args().seconds
    program = find_mosquitto()
    if program is None:
        print("SKIPPED: mosquitto is not installed (Debian: apt-get install mosquitto)")
        return
    logs.configure("telemetry", "WARNING")
    raise_file_limit()
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when this one is root
    try:
        with ExitStack() as stack:
            good = asyncio.run(measure(program, folder, seconds, stack))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
