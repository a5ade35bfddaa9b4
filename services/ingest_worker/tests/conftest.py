"""A real broker, a device that publishes to it, and the service's parts wired to both."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import threading
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from pydantic import SecretStr
from tests.parts import PASSWORD, Nats, Postgres, free_port, wait_for_port

from ingest_worker.broker import Target
from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.errors import Unavailable
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

    from nats.js.api import RawStreamMsg
    from paho.mqtt.client import MQTTMessage

    from ingest_worker.link import Link

_ALL_MESSAGES_WAIT = 100_000


@dataclass(slots=True)
class Mosquitto:
    """Debian's broker: MQTT 3.1.1 and 5.  ``stop`` and ``start`` keep its sessions, on disk.

    Not their shared subscriptions: until the service has subscribed again it acknowledges what nobody gets, so a test
    that counts lets its device come back later (``Device.may_connect``).
    """

    port: int
    folder: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        configuration = self.folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            "allow_anonymous true",
            "max_inflight_messages 500",
            f"max_queued_messages {_ALL_MESSAGES_WAIT}",
            "persistence true",
            f"persistence_location {self.folder}/",
            *(["user root"] if self.folder.stat().st_uid == 0 else []),
        ]
        configuration.write_text("\n".join(lines) + "\n")
        self.process = subprocess.Popen(
            [_mosquitto(), "-c", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_for_port(self.port)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait()


def _mosquitto() -> str:
    found = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/usr/bin:/opt/homebrew/sbin")
    if found is None:
        pytest.skip("mosquitto is not installed (Debian: apt-get install mosquitto)")
    return found


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    broker = Mosquitto(free_port(), folder)
    broker.start()
    yield broker
    broker.stop()


@dataclass(slots=True)
class Device:
    """Publishes as one device; ``acknowledged`` holds the ids of what the broker has taken.

    While ``may_connect`` is cleared, a lost connection is not made anew.
    """

    port: int
    tenant_id: UUID = field(default_factory=uuid4)
    device_id: UUID = field(default_factory=uuid4)
    heard: list[MQTTMessage] = field(default_factory=list)
    acknowledged: set[int] = field(default_factory=set)
    progress: threading.Condition = field(default_factory=threading.Condition)
    may_connect: threading.Event = field(default_factory=threading.Event)
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.may_connect.set()
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=str(self.device_id),
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self.client.max_inflight_messages_set(1000)
        self.client.on_message = lambda _c, _u, message: self.heard.append(message)
        self.client.on_publish = lambda _c, _u, mid, _r, _p: self.note(mid)
        self.client.on_pre_connect = self._wait_to_connect
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()

    def _wait_to_connect(self, _client: Client, _data: object) -> None:
        self.may_connect.wait()

    def note(self, message_id: int) -> None:
        with self.progress:
            self.acknowledged.add(message_id)
            self.progress.notify_all()

    def topic(self, kind: str) -> str:
        return f"tenant/{self.tenant_id}/device/{self.device_id}/{kind}"

    def publish(self, payload: bytes, *, kind: str = "telemetry", qos: int = 1) -> None:
        """Publish and wait until the broker has it."""
        self.client.publish(self.topic(kind), payload, qos).wait_for_publish(20)

    def publish_many(self, payloads: list[bytes], seconds: float = 25) -> None:
        """Publish and wait until the broker has every one; what is sent while it is away waits for its return."""
        sent = {
            self.client.publish(self.topic("telemetry"), payload, 1).mid for payload in payloads
        }
        with self.progress:
            # Not wait_for_publish: paho raises there for what it has queued while disconnected.
            assert self.progress.wait_for(lambda: sent <= self.acknowledged, seconds)

    def leave(self) -> None:
        self.may_connect.set()
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def device(mosquitto: Mosquitto) -> Iterator[Device]:
    made = Device(mosquitto.port)
    yield made
    made.leave()


@pytest.fixture
async def database(postgres: Postgres) -> AsyncIterator[Database]:
    opened = Database(postgres.url("svc_ingest_worker"), name="test")
    await opened.open()
    yield opened
    await opened.close()


@pytest.fixture
async def bus(nats_server: Nats) -> AsyncIterator[Bus]:
    bus = await open_bus(nats_server)
    yield bus
    await bus.close()


async def open_bus(nats_server: Nats) -> Bus:
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="ingest_worker"
    )
    await bus.ensure_stream(events.STREAM_TELEMETRY)
    await bus.ensure_stream(events.STREAM_PARKED)
    await bus.ensure_stream(events.STREAM_REFUSED)
    await bus.ensure_stream(events.STREAM_LATE)
    return bus


async def stored(bus: Bus, stream: str = events.STREAM_TELEMETRY) -> int:
    return int((await bus.jetstream.stream_info(stream)).state.messages)


def target(port: int, client_id: str = "ingest-test") -> Target:
    return Target(
        host="127.0.0.1",
        port=port,
        username="svc_ingest_worker",
        password=SecretStr(PASSWORD),
        client_id=client_id,
    )


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 -- another process's state, which sets no event
            await asyncio.sleep(0.02)


@asynccontextmanager
async def running(link: Link) -> AsyncIterator[None]:
    """Run a link as the service does, until it has left in order."""
    serving = asyncio.create_task(link.run())
    try:
        await eventually(lambda: is_ready(link))
        yield
        await link.leave()
    finally:
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)


async def is_ready(link: Link) -> bool:
    try:
        await link.check()
    except Unavailable:
        return False
    return True


async def refused(bus: Bus) -> list[events.RefusedMessage]:
    """Return what was refused, oldest first."""
    return [
        events.RefusedMessage.model_validate_json(message.data or b"")
        for message in await all_messages(bus, events.STREAM_REFUSED)
    ]


async def all_messages(bus: Bus, stream: str) -> list[RawStreamMsg]:
    return [
        await bus.jetstream.get_msg(stream, number)
        for number in range(1, await stored(bus, stream) + 1)
    ]
