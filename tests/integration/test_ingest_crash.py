"""Kills and stops a real ingest_worker in the middle of its work: nothing lost, nothing stored twice.

kill -9 proves that the order of acknowledgements is right.  It does not prove what a power cut leaves: the page cache
survives a killed process (hazard 22).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import httpx2
import pytest
from conftest import PASSWORD, Nats, Postgres, free_port, wait_for_port
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from pulse_common.bus import Bus
from pulse_common.events import CommandReply, CommandRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import psycopg

pytestmark = [pytest.mark.integration, pytest.mark.timeout(120)]
SECRET = "a-secret-of-this-test-that-is-long-enough"
MESSAGES = 5_000


class AllowAll(BaseHTTPRequestHandler):
    """Stands in for mqtt_authz: everybody may do everything."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        rule = {"permission": "allow", "action": "all", "topic": "#"}
        body = json.dumps({"result": "allow", "acl": [rule]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def authz() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), AllowAll)
    server.daemon_threads = True
    server.block_on_close = False
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def broker(authz: str, tmp_path: Path) -> Iterator[int]:
    """Yield the plain port of the embedded broker, in a process of its own."""
    certificate = self_signed(tmp_path / "server.pem")
    port = free_port()
    environment = {
        "PULSE_ENV": "development",
        "BROKER_TLS_PORT": str(free_port()),
        "BROKER_PLAIN_PORT": str(port),
        "BROKER_API_PORT": str(free_port()),
        "BROKER_CERT_FILE": str(certificate),
        "BROKER_KEY_FILE": str(certificate),
        "BROKER_CLIENT_CA_FILE": str(certificate),
        "BROKER_AUTH_URL": f"{authz}/auth",
        "BROKER_ACL_URL": f"{authz}/acl",
        "BROKER_AUTH_SECRET": SECRET,
        "BROKER_API_KEY": "key",
        "BROKER_API_SECRET": SECRET,
        "BROKER_DATA_DIR": str(tmp_path),
    }
    with (tmp_path / "broker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pulse_local.broker"],
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    wait_for_port(port)
    yield port
    process.terminate()
    process.wait()


def self_signed(file: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    start = datetime.fromtimestamp(1_700_000_000, UTC)
    built = x509.CertificateBuilder(
        subject_name=name,
        issuer_name=name,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=start,
        not_valid_after=start + timedelta(days=36500),
    ).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + built.public_bytes(serialization.Encoding.PEM))
    return file


@dataclass(slots=True)
class Worker:
    """``python -m ingest_worker``, as a supervisor runs it."""

    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ingest_worker"],
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        until(self.is_ready, 30)

    def is_ready(self) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        url = f"http://127.0.0.1:{self.environment['HTTP_PORT']}/readyz"
        with contextlib.suppress(httpx2.TransportError):
            return httpx2.get(url, trust_env=False).status_code == 200
        return False

    def end(self, number: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(20)


@pytest.fixture
def worker(broker: int, postgres: Postgres, nats_server: Nats, tmp_path: Path) -> Iterator[Worker]:
    environment = {
        "PATH": os.defpath,
        "PULSE_ENV": "development",
        "HTTP_PORT": str(free_port()),
        "DATABASE_URL": postgres.url("svc_ingest_worker"),
        "NATS_URL": nats_server.url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "MQTT_HOST": "127.0.0.1",
        "MQTT_PORT": str(broker),
        "MQTT_USERNAME": "svc_ingest_worker",
        "MQTT_PASSWORD": SECRET,
        "MQTT_CLIENT_ID": "ingest-1",
    }
    made = Worker(environment, tmp_path / "ingest_worker.log")
    made.start()
    yield made
    if made.process is not None and made.process.poll() is None:
        made.end(signal.SIGKILL)


@dataclass(slots=True)
class Device:
    port: int
    tenant_id: UUID = field(default_factory=uuid4)
    device_id: UUID = field(default_factory=uuid4)
    heard: list[bytes] = field(default_factory=list)
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=str(self.device_id),
            protocol=MQTTProtocolVersion.MQTTv311,
        )
        self.client.max_inflight_messages_set(200)
        self.client.on_message = lambda _c, _u, message: self.heard.append(bytes(message.payload))
        subscribed = threading.Event()
        self.client.on_connect = self.subscribe
        self.client.on_subscribe = lambda *_: subscribed.set()
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert subscribed.wait(10)

    def subscribe(self, *_: object) -> None:
        self.client.subscribe(f"{self.root}/command", 1)

    @property
    def root(self) -> str:
        return f"tenant/{self.tenant_id}/device/{self.device_id}"

    def publish(self, payloads: list[str]) -> None:
        """Publish with QoS 1, and return once the broker has acknowledged every one."""
        sent = [self.client.publish(f"{self.root}/telemetry", each, 1) for each in payloads]
        for message in sent:
            message.wait_for_publish(60)
            assert message.is_published()


@pytest.fixture
def device(broker: int, superuser: psycopg.Connection) -> Iterator[Device]:
    made = Device(broker)
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'x')", [made.tenant_id])
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'x')",
        [made.tenant_id, made.device_id],
    )
    yield made
    made.client.disconnect()
    made.client.loop_stop()


def until(holds: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.01)


def count(superuser: psycopg.Connection, device: Device) -> int:
    query = "SELECT count(*) FROM telemetry WHERE tenant_id = %s"
    row = superuser.execute(query, [device.tenant_id]).fetchone()
    assert row is not None
    return int(row[0])


def stored_numbers(superuser: psycopg.Connection, device: Device) -> Counter[int]:
    query = "SELECT (metrics->>'number')::float FROM telemetry WHERE tenant_id = %s"
    return Counter(int(row[0]) for row in superuser.execute(query, [device.tenant_id]))


def test_kill_9_loses_nothing_and_stores_nothing_twice(
    worker: Worker, device: Device, superuser: psycopg.Connection
) -> None:
    now = time.time_ns() // 1_000_000
    payloads = [
        json.dumps({"ts": now, "metrics": {"number": number, "load": 0.5, "note": "x" * 100}})
        for number in range(MESSAGES)
    ]
    publishing = threading.Thread(target=device.publish, args=(payloads,))

    publishing.start()
    for progress in (300, 1200, 2500):
        until(lambda wanted=progress: count(superuser, device) >= wanted, 60)  # type: ignore[misc]  # mypy cannot infer a default's type
        worker.end(signal.SIGKILL)
        worker.start()
    publishing.join()
    until(lambda: count(superuser, device) >= MESSAGES, 60)
    time.sleep(1)  # whatever would come twice, comes now

    assert stored_numbers(superuser, device) == Counter(range(MESSAGES))


def test_orderly_stop_settles_what_was_taken(
    worker: Worker, device: Device, superuser: psycopg.Connection
) -> None:
    """Without a time of the device's own a redelivery would be a second row: here there must be none."""
    payloads = [json.dumps({"metrics": {"number": number}}) for number in range(2000)]
    publishing = threading.Thread(target=device.publish, args=(payloads,))

    publishing.start()
    until(lambda: count(superuser, device) > 200, 30)
    status = worker.end(signal.SIGTERM)
    worker.start()
    publishing.join()
    until(lambda: count(superuser, device) >= len(payloads), 60)
    time.sleep(1)

    assert status == 0
    assert stored_numbers(superuser, device) == Counter(range(len(payloads)))


@pytest.mark.anyio
async def test_command_reaches_the_device(
    worker: Worker, device: Device, nats_server: Nats
) -> None:
    bus = await Bus.connect(url=nats_server.url, user="test", password=PASSWORD, service="ui_iot")
    request = CommandRequest(
        tenant_id=device.tenant_id,
        device_id=device.device_id,
        command_id=uuid4(),
        name="blink",
        arguments={"times": 3.0},
        actor_id="alice",
    )

    reply = await bus.call(request, CommandReply)
    await bus.close()
    until(lambda: len(device.heard) == 1, 10)

    assert reply.command_id == request.command_id
    assert json.loads(device.heard[0])["name"] == "blink"
