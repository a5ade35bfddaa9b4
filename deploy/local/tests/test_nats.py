"""The embedded NATS, for real: acknowledged messages stay, and each service speaks where it may."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import nats
import pytest

from pulse_local.environments import Environments
from pulse_local.leftovers import Registry
from pulse_local.nats import nats_command
from pulse_local.processes import Part
from pulse_local.secrets import load_or_create_secrets
from pulse_local.tls import TlsFiles

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from nats.aio.client import Client

    from pulse_local.ports import Ports

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def environments(folder: Path, ports: Ports) -> Environments:
    tls = TlsFiles(ca=folder, ca_key=folder, certificate=folder, key=folder)
    secrets = load_or_create_secrets(folder / "secrets.json")
    return Environments(ports=ports, secrets=secrets, tls=tls, data=folder)


@pytest.fixture
def server(environments: Environments, folder: Path, repository: Path) -> Iterator[Part]:
    command = nats_command(
        repository=repository,
        ports=environments.ports,
        store=folder / "nats",
        environment=environments.of_nats(),
    )
    part = Part(command, logs=folder / "logs", registry=Registry(folder / "run" / "parts.json"))
    part.start()
    yield part
    part.stop()


async def test_acknowledged_message_survives_kill(server: Part, environments: Environments) -> None:
    client = await _connect(environments, "svc_ingest_worker")
    await client.jetstream().add_stream(name="TELEMETRY", subjects=["pulse.telemetry.>"])
    await client.jetstream().publish("pulse.telemetry.t.d", b"21.5")
    await client.close()

    await asyncio.to_thread(server.kill)
    await asyncio.to_thread(server.start)

    client = await _connect(environments, "svc_ingest_worker")
    subscription = await client.jetstream().pull_subscribe(
        "pulse.telemetry.>", durable="store", stream="TELEMETRY"
    )
    messages = await subscription.fetch(1, timeout=5)
    await client.close()
    assert [message.data for message in messages] == [b"21.5"]


@pytest.mark.parametrize(
    "who", ["{}", '{"user": "svc_ui_iot"}', '{"user": "svc_ui_iot", "pass": "wrong"}']
)
async def test_client_without_the_right_password_is_refused(
    server: Part, environments: Environments, who: str
) -> None:
    # By hand: nats-py leaves its socket open when it is refused.
    reader, writer = await asyncio.open_connection("127.0.0.1", environments.ports.nats)
    await reader.readline()

    writer.write(f"CONNECT {who}\r\nPING\r\n".encode())
    answer = await reader.readline()

    writer.close()
    await writer.wait_closed()
    assert b"Authorization Violation" in answer


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("svc_ui_iot", "pulse.rpc.cert_worker.sign"),
        ("svc_ui_iot", "pulse.telemetry.t.d"),
        ("svc_mqtt_authz", "pulse.rpc.cert_worker.sign"),
        ("svc_billing_webhooks", "pulse.rpc.cert_worker.revoke"),
        ("svc_delivery_worker", "pulse.telemetry.t.d"),
        ("svc_provision_api", "pulse.live.t"),
        ("svc_ingest_worker", "$JS.API.STREAM.DELETE.EVENTS"),
        ("svc_cert_worker", "$JS.API.STREAM.PURGE.EVENTS"),
        ("svc_billing_webhooks", "$JS.API.CONSUMER.DURABLE.CREATE.TELEMETRY.x"),
        ("svc_ui_iot", "$JS.API.STREAM.MSG.GET.TELEMETRY"),
    ],
)
async def test_service_may_not_publish_where_it_has_no_business(
    server: Part, environments: Environments, user: str, subject: str
) -> None:
    complaints = Complaints()
    client = await _connect(environments, user, complaints)

    await client.publish(subject, b"{}")
    await client.flush()
    complaint = await complaints.first()

    await client.close()
    assert "permissions violation" in complaint


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("svc_ui_iot", "pulse.telemetry.>"),
        ("svc_ui_iot", ">"),
        ("svc_provision_api", "pulse.rpc.cert_worker.sign"),
        ("svc_mqtt_authz", "pulse.live.*"),
        ("svc_billing_webhooks", "pulse.>"),
        ("svc_ui_iot", "_INBOX.>"),
        ("svc_ingest_worker", "_INBOX.svc_provision_api.>"),
    ],
)
async def test_service_may_not_listen_where_it_has_no_business(
    server: Part, environments: Environments, user: str, subject: str
) -> None:
    complaints = Complaints()
    client = await _connect(environments, user, complaints)

    await client.subscribe(subject)
    await client.flush()
    complaint = await complaints.first()

    await client.close()
    assert "permissions violation" in complaint


async def test_provision_api_gets_its_answer_from_cert_worker(
    server: Part, environments: Environments
) -> None:
    worker = await _connect(environments, "svc_cert_worker")
    api = await _connect(environments, "svc_provision_api")
    subscription = await worker.subscribe("pulse.rpc.cert_worker.sign", queue="cert_worker")

    async def answer() -> None:
        message = await subscription.next_msg(timeout=5)
        await message.respond(b"signed")

    answering = asyncio.create_task(answer())
    await worker.flush()
    reply = await api.request("pulse.rpc.cert_worker.sign", b"csr", timeout=5)

    await answering
    await api.close()
    await worker.close()
    assert reply.data == b"signed"


class Complaints:
    """What the server told a client about its own misbehaviour."""

    def __init__(self) -> None:
        self._found: asyncio.Queue[str] = asyncio.Queue()

    async def note(self, error: Exception) -> None:
        await self._found.put(str(error).lower())

    async def first(self) -> str:
        async with asyncio.timeout(5):
            return await self._found.get()


async def _connect(
    environments: Environments, user: str, complaints: Complaints | None = None
) -> Client:
    return await nats.connect(
        f"nats://127.0.0.1:{environments.ports.nats}",
        user=user,
        password=environments.secrets.nats[user],
        inbox_prefix=f"_INBOX.{user}",
        error_cb=(complaints or Complaints()).note,
    )
