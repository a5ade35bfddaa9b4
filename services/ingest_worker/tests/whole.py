"""The whole way as processes that can be killed, and a device that numbers its readings."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg
from tests.parts import PASSWORD, free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from services.ingest_worker.tests.conftest import Device, Mosquitto
    from tests.parts import Postgres

PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class Service:
    """``python -m ingest_worker``."""

    environment: dict[str, str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "ingest_worker"],
                env=self.environment,
                stdout=log,
                stderr=log,
            )
        wait_for_port(int(self.environment["HTTP_PORT"]), 30)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def make_service(postgres: Postgres, nats_url: str, broker: Mosquitto, folder: Path) -> Service:
    environment = {
        "PATH": os.defpath,
        "PULSE_ENV": "production",
        "LOG_LEVEL": "INFO",
        "HTTP_HOST": "127.0.0.1",
        "HTTP_PORT": str(free_port()),
        "DATABASE_URL": postgres.url("svc_ingest_worker"),
        "NATS_URL": nats_url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "MQTT_HOST": "127.0.0.1",
        "MQTT_PORT": str(broker.port),
        "MQTT_USERNAME": "svc_ingest_worker",
        "MQTT_PASSWORD": "m" * 32,
        "MQTT_CLIENT_ID": "ingest-whole",
    }
    return Service(environment, folder / "ingest.log")


@dataclass(slots=True)
class Flow:
    """Publishes ``count`` numbered readings with QoS 1, and knows which of them are rows."""

    device: Device
    database: str
    count: int
    publishing: threading.Thread = field(init=False)
    failure: BaseException | None = None

    def __post_init__(self) -> None:
        with psycopg.connect(self.database) as connection:
            connection.execute(
                "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'x')", [self.device.tenant_id]
            )
            connection.execute(
                "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'x')",
                [self.device.tenant_id, self.device.device_id],
            )
        self.publishing = threading.Thread(target=self._publish)

    def _publish(self) -> None:
        first = time.time_ns() // 1_000_000 - self.count
        try:
            self.device.publish_many(
                [
                    json.dumps({"ts": first + number, "metrics": {"number": number}}).encode()
                    for number in range(self.count)
                ],
                PATIENCE_SECONDS,
            )
        except BaseException as error:  # noqa: BLE001 -- told by `settle`, on the test's thread
            self.failure = error

    def rows(self) -> Counter[int]:
        query = "SELECT (metrics->>'number')::float FROM telemetry WHERE device_id = %s"
        with psycopg.connect(self.database) as connection:
            return Counter(
                int(row[0]) for row in connection.execute(query, [self.device.device_id])
            )

    def wait_for(self, count: int) -> None:
        until(lambda: self._stored() >= count, f"{count} rows")

    def settle(self) -> None:
        """Wait until all was published, and all of it is rows."""
        self.publishing.join()
        assert self.failure is None, self.failure
        self.wait_for(self.count)
        time.sleep(1)  # whatever would come twice, comes now

    def _stored(self) -> int:
        query = "SELECT count(*) FROM telemetry WHERE device_id = %s"
        try:
            with psycopg.connect(self.database) as connection:
                row = connection.execute(query, [self.device.device_id]).fetchone()
        except psycopg.OperationalError:  # the fault is PostgreSQL's
            return 0
        assert row is not None
        return int(row[0])


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, f"waited {PATIENCE_SECONDS:.0f} s for {what}"
        time.sleep(0.02)
