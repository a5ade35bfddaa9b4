"""The running platform as tests use it: tenants, devices enrolled with the customers' own CLI, MQTT clients."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from tests.integration.people import edge_client

from pulse_local.broker.testing.peer import Peer
from pulse_local.database import DATABASE, database_url
from pulse_local.environments import minimal
from pulse_local.postgres import superuser_url

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulse_local.stack import Stack

CLI = str(Path(sys.executable).with_name("pulse-device"))


@dataclass(frozen=True, kw_only=True)
class Device:
    """An enrolled device: its key and certificate are in `folder`."""

    tenant_id: str
    device_id: str
    name: str
    folder: Path
    mqtts_port: int

    @property
    def tree(self) -> str:
        return f"tenant/{self.tenant_id}/device/{self.device_id}"

    @property
    def telemetry(self) -> str:
        return f"{self.tree}/telemetry"

    def tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.folder / "broker-ca.pem")
        context.load_cert_chain(self.folder / "certificate.pem", self.folder / "device-key.pem")
        return context

    def client(self, client_id: str = "") -> Client:
        """Give an MQTT client with this device's certificate; nothing is sent yet."""
        made = new_client(client_id or self.device_id)
        made.tls_set_context(self.tls())
        return made

    @contextmanager
    def online(self) -> Iterator[Peer]:
        with connected(self.client(), self.mqtts_port) as peer:
            yield peer


@dataclass(frozen=True, kw_only=True)
class World:
    """The stack with its tenants, and what an operator of the platform does to it by HTTP."""

    stack: Stack
    folder: Path

    @property
    def superuser(self) -> str:
        """Where to look behind the scenes."""
        return superuser_url(
            self.stack.secrets.postgres_superuser, self.stack.ports.postgres, DATABASE
        )

    def database_url(self, login: str) -> str:
        """How one service's own login reaches the database."""
        password = self.stack.secrets.database[login]
        return database_url(login, password, self.stack.ports.postgres)

    def new_device(self, tenant_id: str, name: str) -> str:
        answer = self._provision("devices", {"tenant_id": tenant_id, "name": name})
        return answer["id"]

    def new_token(self, tenant_id: str, device_id: str) -> str:
        return self._provision(f"devices/{device_id}/enrolment-tokens", {"tenant_id": tenant_id})[
            "token"
        ]

    def enrol(self, tenant_id: str, name: str) -> Device:
        device_id = self.new_device(tenant_id, name)
        return self._enrol(tenant_id, device_id, name, self.folder / device_id)

    def enrol_again(self, device: Device) -> Device:
        """Give the device another key and certificate, in a folder of their own."""
        folder = self.folder / f"{device.device_id}-again"
        return self._enrol(device.tenant_id, device.device_id, device.name, folder)

    def _enrol(self, tenant_id: str, device_id: str, name: str, folder: Path) -> Device:
        token = self.new_token(tenant_id, device_id)
        done = cli(*self.enrol_arguments(token, folder))
        assert done.returncode == 0, done.stderr
        port = self.stack.ports.mqtts
        return Device(
            tenant_id=tenant_id, device_id=device_id, name=name, folder=folder, mqtts_port=port
        )

    def enrol_arguments(self, token: str, folder: Path) -> list[str]:
        where = ["--server", self.stack.url, "--ca", str(self.stack.tls.ca), "--dir", str(folder)]
        return ["enroll", "--token", token, *where]

    def witness(self) -> Client:
        """Give a client that hears every device of every tenant: what ingest_worker is to the broker."""
        made = new_client("witness")
        made.username_pw_set("svc_ingest_worker", self.stack.secrets.mqtt_admin)
        return made

    def _provision(self, path: str, body: dict[str, str]) -> dict[str, str]:
        key = self.stack.secrets.provision_admin_key
        with edge_client(self.stack.environments, **{"x-pulse-admin-key": key}) as admin:
            answer = admin.post(f"/api/v1/provision/{path}", json=body)
        assert answer.status_code == 201, answer.text
        found: dict[str, str] = answer.json()
        return found


def new_client(client_id: str) -> Client:
    return Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        clean_session=True,
        protocol=MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )


@contextmanager
def connected(client: Client, port: int) -> Iterator[Peer]:
    peer = Peer(client, port)
    assert peer.connect() == 0
    try:
        yield peer
    finally:
        peer.leave()


def cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pulse-device to its end, in a process of its own."""
    return subprocess.run(
        [CLI, *arguments], env=minimal(), capture_output=True, text=True, check=False, timeout=60
    )


def reading(**metrics: float | str) -> str:
    return json.dumps({"metrics": metrics})
