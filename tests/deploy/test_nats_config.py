"""The shipped NATS configuration, on a real server: each service can do its own work and nobody else's."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
import time
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import nats
import nats.errors
import pytest
from tests.deploy import shipped

from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.consume import Consumer, consume
from pulse_common.errors import Unavailable
from pulse_common.messaging import Done, Message, Outcome

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio
SERVER = Path(sys.executable).parent / "nats-server"
CONF = Path(__file__).resolve().parents[2] / "deploy" / "nats" / "nats.conf"
# Starts like a number, and must survive as text.
PASSWORD = "1e5-a-password-of-this-test"


@pytest.fixture
def settings_of() -> dict[str, frozenset[str]]:
    return shipped.SETTINGS


def _environment(port: int, store: Path, services: frozenset[str]) -> dict[str, str]:
    passwords = {f"NATS_PASSWORD_{name.upper()}": f'"{PASSWORD}"' for name in services}
    return {
        "PATH": os.defpath,
        "NATS_SERVER_NAME": '"test"',
        "NATS_HOST": '"127.0.0.1"',
        "NATS_PORT": str(port),
        "NATS_MONITOR_PORT": str(_free_port()),
        "NATS_STORE_DIR": f'"{store}"',
        **passwords,
    }


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert time.monotonic() < deadline, "nats-server did not start"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = _free_port()
    store = tmp_path_factory.mktemp("jetstream")
    with subprocess.Popen(
        [SERVER, "-c", CONF],
        env=_environment(port, store, frozenset(shipped.SETTINGS)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        _wait_for(port)
        yield f"nats://127.0.0.1:{port}"
        process.kill()


@asynccontextmanager
async def _bus(url: str, service: str) -> AsyncIterator[Bus]:
    bus = await Bus.connect(url=url, user=f"svc_{service}", password=PASSWORD, service=service)
    try:
        yield bus
    finally:
        await bus.close()


async def _refused(url: str, service: str, subject: str, *, subscribe: bool = False) -> bool:
    """Return whether the server itself refuses this service this subject."""
    complained = asyncio.Event()

    async def on_error(error: Exception) -> None:
        if "permissions violation" in str(error).lower():
            complained.set()

    client = await nats.connect(
        url, user=f"svc_{service}", password=PASSWORD, error_cb=on_error, allow_reconnect=False
    )
    if subscribe:
        await client.subscribe(subject)
    else:
        await client.publish(subject, b"{}")
    await client.flush(timeout=2)
    # The complaint comes before the flush's answer, but nats-py reports it in a task of its own.
    with suppress(TimeoutError):
        await asyncio.wait_for(complained.wait(), 1)
    await client.close()
    return complained.is_set()


def test_the_server_accepts_the_file(
    settings_of: dict[str, frozenset[str]], tmp_path: Path
) -> None:
    result = subprocess.run(
        [SERVER, "-t", "-c", CONF],
        check=False,
        capture_output=True,
        text=True,
        env=_environment(4222, tmp_path, frozenset(settings_of)),
    )

    assert result.returncode == 0, result.stderr


def test_a_missing_password_stops_the_server(
    settings_of: dict[str, frozenset[str]], tmp_path: Path
) -> None:
    environment = _environment(4222, tmp_path, frozenset(settings_of))
    del environment["NATS_PASSWORD_CERT_WORKER"]

    result = subprocess.run(
        [SERVER, "-t", "-c", CONF], check=False, capture_output=True, env=environment
    )

    assert result.returncode != 0


def test_no_password_is_written_down() -> None:
    words = CONF.read_text().split("password: ")[1:]

    assert {word[:15] for word in words} == {"$NATS_PASSWORD_"}


async def test_nobody_connects_without_a_password(url: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    writer.write(b'CONNECT {"verbose":false}\r\nPING\r\n')

    # Until the server hangs up: had it let us in, it would answer the PING and wait.
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()
    await writer.wait_closed()

    assert b"Authorization Violation" in answer
    assert b"PONG" not in answer


async def test_every_service_connects_by_its_own_name(
    url: str, settings_of: dict[str, frozenset[str]]
) -> None:
    for service in settings_of:
        async with _bus(url, service) as bus:
            await bus.check()


async def test_a_revocation_travels_from_the_ca_to_the_brokers_judge(url: str) -> None:
    arrived = asyncio.Event()

    async def on_message(_: Message) -> Outcome:
        arrived.set()
        return Done()

    wanted = Consumer(
        stream=events.STREAM_EVENTS, name="mqtt_authz", subjects=["pulse.events.cert.>"]
    )
    async with _bus(url, "cert_worker") as ca, _bus(url, "mqtt_authz") as judge:
        for bus in (ca, judge):
            await bus.ensure_stream(events.STREAM_EVENTS)
            await bus.ensure_stream(events.STREAM_PARKED)
        working = asyncio.create_task(consume(judge, wanted, on_message))

        await ca.publish_stored("pulse.events.cert.revoked", b"{}", message_id=str(uuid4()))
        await asyncio.wait_for(arrived.wait(), 5)
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working

    assert arrived.is_set()


@pytest.mark.parametrize("domain", ["cert", "device", "issuer", "tenant"])
async def test_every_replica_of_the_gate_hears_what_ends_trust(url: str, domain: str) -> None:
    assert not await _refused(url, "mqtt_authz", f"pulse.events.{domain}.>", subscribe=True)


async def test_the_end_of_a_session_is_told_among_replicas_of_the_ui(url: str) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def hear(_: str, data: bytes) -> None:
        heard.put_nowait(data)

    async with _bus(url, "ui_iot") as one, _bus(url, "ui_iot") as other:
        await other.subscribe_live(events.SESSION_ENDED_SUBJECT, hear)
        await other.check()
        await one.publish_live(events.SESSION_ENDED_SUBJECT, b"ended")

        assert await asyncio.wait_for(heard.get(), 5) == b"ended"


async def test_an_enrolment_is_signed_over_rpc(url: str) -> None:
    reply = events.RevokeReply(revoked=1, revoked_at=datetime(2026, 1, 1, tzinfo=UTC))
    request = events.RevokeRequest(
        tenant_id=uuid4(), device_id=uuid4(), reason="keyCompromise", actor_id="alice"
    )

    async def revoke(_: events.RevokeRequest) -> events.RevokeReply:
        return reply

    async with _bus(url, "cert_worker") as ca, _bus(url, "ui_iot") as ui:
        await ca.answer(events.RevokeRequest, revoke)
        await ca.check()  # by now the server knows who answers
        answer = await ui.call(request, events.RevokeReply)

        async with _bus(url, "delivery_worker") as stranger:
            with pytest.raises(Unavailable):
                await stranger.call(request, events.RevokeReply, seconds=0.3)

    assert answer == reply


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("ui_iot", "pulse.events.cert.revoked"),
        ("ui_iot", "pulse.telemetry.a.b"),
        ("ui_iot", "pulse.live.t"),
        ("provision_api", "pulse.live.sessions"),
        ("provision_api", "pulse.rpc.cert_worker.revoke"),
        ("provision_api", "pulse.events.cert.revoked"),
        ("billing_webhooks", "pulse.events.device.disabled"),
        ("billing_webhooks", "pulse.rpc.cert_worker.sign"),
        ("ingest_worker", "pulse.rpc.cert_worker.sign"),
        ("ingest_worker", "pulse.events.device.disabled"),
        ("delivery_worker", "pulse.telemetry.a.b"),
        ("mqtt_authz", "pulse.rpc.cert_worker.revoke"),
        ("cert_worker", "$JS.API.STREAM.DELETE.EVENTS"),
        ("ui_iot", "$JS.API.STREAM.PURGE.EVENTS"),
        ("ui_iot", "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.x"),
        ("ui_iot", "_INBOX.forged"),
    ],
)
async def test_a_service_may_not_speak_for_another(url: str, service: str, subject: str) -> None:
    assert await _refused(url, service, subject)


@pytest.mark.parametrize(
    ("service", "subject"),
    [
        ("ui_iot", "pulse.>"),
        ("ui_iot", "pulse.telemetry.*.*"),
        ("ui_iot", "pulse.rpc.cert_worker.sign"),
        ("billing_webhooks", "pulse.live.*"),
        ("delivery_worker", "pulse.telemetry.>"),
        ("provision_api", "pulse.rpc.>"),
        ("mqtt_authz", "pulse.events.>"),
        ("mqtt_authz", "pulse.telemetry.>"),
        ("ingest_worker", "$SYS.>"),
        ("cert_worker", ">"),
    ],
)
async def test_a_service_may_not_listen_to_others(url: str, service: str, subject: str) -> None:
    assert await _refused(url, service, subject, subscribe=True)


async def test_operators_pages_may_count_streams_and_read_none_of_their_messages(url: str) -> None:
    async with _bus(url, "ingest_worker") as owner, _bus(url, "ui_iot") as bus:
        await owner.ensure_stream(events.STREAM_TELEMETRY)

        info = await bus.jetstream.stream_info(events.STREAM_TELEMETRY)
        consumers = await bus.jetstream.consumers_info(events.STREAM_TELEMETRY)

    assert (info.config.name, consumers) == ("TELEMETRY", [])
    for subject in (
        "$JS.API.STREAM.MSG.GET.TELEMETRY",
        "$JS.API.DIRECT.GET.TELEMETRY",
        "$JS.API.CONSUMER.CREATE.TELEMETRY.x",
        "$JS.API.CONSUMER.MSG.NEXT.TELEMETRY.x",
        "$JS.API.STREAM.PURGE.DELIVERY",
    ):
        assert await _refused(url, "ui_iot", subject), subject
