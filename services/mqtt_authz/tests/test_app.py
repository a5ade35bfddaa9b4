"""The service as a process: it starts on real parts, answers the broker, cuts a revoked device and stops cleanly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import httpx2
import pytest
from conftest import PASSWORD, free_port, wait_for_port
from services.mqtt_authz.tests.conftest import SECRET, body_for
from services.mqtt_authz.tests.test_settings import GOOD

from pulse_common import events
from pulse_common.bus import Bus

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Nats, Postgres
    from services.mqtt_authz.tests.conftest import Enrol
    from services.mqtt_authz.tests.revocation_world import World

pytestmark = pytest.mark.anyio
START_SECONDS = 60.0


class EmqxApi(ThreadingHTTPServer):
    """The management API of a broker that has nothing of anybody, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Call)
        self.asked: list[str] = []
        self.may_answer = threading.Event()
        self.may_answer.set()


class _Call(BaseHTTPRequestHandler):
    server: EmqxApi

    def do_GET(self) -> None:
        self.server.asked.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.may_answer.wait(20)
        retained = "retainer" in self.path
        found = self.command == "POST"
        body = (
            b"{}"
            if found
            else b'{"code":"%s"}' % (b"NOT_FOUND" if retained else b"CLIENTID_NOT_FOUND")
        )
        self.send_response(200 if found else 404)
        self.send_header("content-length", str(len(body)))
        with contextlib.suppress(OSError):  # whoever asked may have been killed
            self.end_headers()
            self.wfile.write(body)

    do_POST = do_DELETE = do_GET  # noqa: N815 -- names of http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- name of http.server
        """Keep quiet."""


@pytest.fixture
def emqx_api() -> Iterator[EmqxApi]:
    with EmqxApi() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def start_gate(
    postgres: Postgres, nats_server: Nats, emqx_api: EmqxApi, log: Path
) -> tuple[subprocess.Popen[bytes], int]:
    port = free_port()
    environment = GOOD | {
        "PATH": os.defpath,
        "HTTP_PORT": str(port),
        "DATABASE_URL": postgres.url("svc_mqtt_authz"),
        "NATS_URL": nats_server.url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "MQTT_AUTH_SECRET": SECRET,
        "EMQX_API_URL": f"http://127.0.0.1:{emqx_api.server_port}",
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "mqtt_authz"], env=environment, stdout=output, stderr=output
        )
    try:
        wait_for_gate(process, port)
    except (AssertionError, OSError):
        process.kill()
        code = process.wait(20)
        pytest.fail(f"the gate did not come up ({code}):\n{log.read_text()}")
    return process, port


def wait_for_gate(process: subprocess.Popen[bytes], port: int) -> None:
    """Give a machine that is busy with other tests its time, and a process that died none."""
    deadline = time.monotonic() + START_SECONDS
    while True:
        assert process.poll() is None, "it ended"
        try:
            return wait_for_port(port, 0)
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


async def test_gate_that_is_killed_in_the_middle_of_a_cut_finishes_it_after_its_restart(
    postgres: Postgres,
    nats_server: Nats,
    emqx_api: EmqxApi,
    enrol: Enrol,
    world: World,
    tmp_path: Path,
) -> None:
    enrolled = enrol()
    first, _ = start_gate(postgres, nats_server, emqx_api, tmp_path / "first")
    emqx_api.may_answer.clear()
    bus = await Bus.connect(url=nats_server.url, user="test", password=PASSWORD, service="test")
    event = world.revoke(enrolled)
    await bus.publish_stored(event.subject, event.to_bytes(), message_id="1")
    async with asyncio.timeout(15):
        while not any("/banned" in call and "POST" in call for call in emqx_api.asked):  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    first.kill()
    first.wait(20)
    before = world.cut_at(enrolled)
    emqx_api.may_answer.set()
    cuts = await bus.jetstream.subscribe(events.SessionCut.subject)
    second, _ = start_gate(postgres, nats_server, emqx_api, tmp_path / "second")
    try:
        while True:
            cut = events.SessionCut.model_validate_json((await cuts.next_msg(timeout=20)).data)
            if cut.device_id == enrolled.device:
                break
    finally:
        await bus.close()
        second.send_signal(signal.SIGTERM)
        second.wait(20)

    assert before is None
    assert world.cut_at(enrolled) is not None


async def test_process_serves_the_broker_cuts_a_session_and_stops(
    postgres: Postgres,
    nats_server: Nats,
    emqx_api: EmqxApi,
    enrol: Enrol,
    world: World,
    tmp_path: Path,
) -> None:
    enrolled = enrol()
    process, port = start_gate(postgres, nats_server, emqx_api, tmp_path / "log")
    try:
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            ready = await client.get("/readyz")
            answered = await client.post(
                "/api/v1/internal/mqtt-auth",
                json=body_for(enrolled),
                headers={"authorization": f"Bearer {SECRET}"},
            )
        bus = await Bus.connect(url=nats_server.url, user="test", password=PASSWORD, service="test")
        cuts = await bus.jetstream.subscribe(events.SessionCut.subject)
        event = world.revoke(enrolled)
        await bus.publish_stored(event.subject, event.to_bytes(), message_id="1")
        while True:
            cut = events.SessionCut.model_validate_json((await cuts.next_msg(timeout=20)).data)
            if cut.device_id == enrolled.device:
                break
        await bus.close()
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(timeout=20)

    assert ready.status_code == 200
    assert ready.json()["events and dry runs"] == "heard and answered"
    assert answered.json()["result"] == "allow"
    assert cut.seconds < 5
    # What a sweep asks meanwhile is another story.
    asked = [call for call in emqx_api.asked if "?page=" not in call]
    assert [call.split("/api/v5")[1].split("/")[1] for call in asked] == [
        *("banned", "clients", "clients", "mqtt", "clients")
    ]
    assert code == 0
