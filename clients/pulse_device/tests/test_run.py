"""The whole program as a process of its own, against a broker of our own over mutual TLS."""

from __future__ import annotations

import json
import queue
import signal
import ssl
import subprocess
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from clients.pulse_device.tests.fake_broker import FakeBroker
from clients.pulse_device.tests.pki import DAY, DEVICE, NAME, Ca, pem, server_context

from pulse_device.__main__ import main

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients.pulse_device.tests.conftest import World

    from pulse_device.directory import DeviceDirectory

pytestmark = pytest.mark.slow

SECONDS = 10.0


@pytest.fixture
def enrolled(world: World, directory: DeviceDirectory) -> DeviceDirectory:
    assert main(world.enroll_arguments(directory.path, "--token", "t0")) == 0
    return directory


@contextmanager
def running(directory: DeviceDirectory, *options: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "pulse_device", "run", "--dir", str(directory.path), *options],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def end_of(process: subprocess.Popen[bytes], lines: bytes | None = None) -> tuple[int, str]:
    _, errors = process.communicate(lines, timeout=SECONDS)
    return process.returncode, errors.decode()


@pytest.mark.parametrize(("protocol", "version"), [("3.1.1", 4), ("5", 5)])
def test_lines_are_delivered_before_the_program_ends(
    world: World, enrolled: DeviceDirectory, protocol: str, version: int
) -> None:
    lines = b'{"metrics":{"a":1}}\n{"ts":1000,"metrics":{"a":2}}\nnot json\n{"a":3.5,"b":"x"}'

    with running(enrolled, "--stdin", "--protocol", protocol) as process:
        code, errors = end_of(process, lines)

    assert code == 0
    connected = world.broker.connected.get(timeout=SECONDS)
    assert (connected.client_id, connected.version, connected.clean) == (DEVICE, version, False)
    sent = [world.broker.published.get(timeout=SECONDS) for _ in range(3)]
    assert [each.content["metrics"] for each in sent] == [{"a": 1}, {"a": 2}, {"a": 3.5, "b": "x"}]
    assert sent[1].content["ts"] == "1970-01-01T00:00:01.000Z"
    assert {(each.topic, each.qos) for each in sent} == {(NAME.telemetry_topic, 1)}
    assert world.broker.clean_ends.get(timeout=SECONDS) == DEVICE
    assert "line_refused line=3" in errors
    assert "stopped published=3 unacknowledged=0 waiting=0 dropped=0" in errors


def test_many_lines_are_slowed_down_and_not_dropped(
    world: World, enrolled: DeviceDirectory
) -> None:
    lines = b"".join(b'{"n":%d}\n' % number for number in range(12_000))

    with running(enrolled, "--stdin") as process:
        code, errors = end_of(process, lines)

    assert code == 0
    assert "dropped=0" in errors
    numbers = [
        world.broker.published.get(timeout=SECONDS).content["metrics"]["n"] for _ in range(12_000)
    ]
    assert numbers == list(range(12_000))


def test_unacknowledged_publish_is_sent_again_after_reconnecting(
    world: World, enrolled: DeviceDirectory
) -> None:
    world.broker.behaviour.swallow = 1

    with running(enrolled, "--stdin") as process:
        code, errors = end_of(process, b'{"a":1}\n')

    assert code == 0
    assert "connection_lost" in errors
    first, second = (world.broker.published.get(timeout=SECONDS) for _ in range(2))
    assert (first.duplicate, second.duplicate) == (False, True)
    assert first.content == second.content


def test_publish_that_nobody_heard_is_sent_again(world: World, enrolled: DeviceDirectory) -> None:
    """A broker that has just been restarted acknowledges what comes before the platform has subscribed again."""
    world.broker.behaviour.unheard = 2

    with running(enrolled, "--stdin", "--protocol", "5") as process:
        code, errors = end_of(process, b'{"a":1}\n{"a":2}\n{"a":3}\n')

    assert code == 0
    sent = [world.broker.published.get(timeout=SECONDS).content["metrics"]["a"] for _ in range(5)]
    assert sent == [1, 2, 3, 1, 2]
    assert errors.count("publish_unheard") == 2
    assert "stopped published=3 unacknowledged=0 waiting=0 dropped=0" in errors


def test_machine_readings_follow_the_contract_until_terminated(
    world: World, enrolled: DeviceDirectory
) -> None:
    with running(enrolled, "--interval", "0.1") as process:
        sent = world.broker.published.get(timeout=SECONDS)
        process.send_signal(signal.SIGTERM)
        code, errors = end_of(process)

    assert code == 0
    assert set(sent.content["metrics"]) == {
        "cpu_percent", "load_1m", "memory_percent", "disk_percent",
        "network_received_kbps", "network_sent_kbps",
    }  # fmt: skip
    assert all(isinstance(value, int | float) for value in sent.content["metrics"].values())
    at = datetime.fromisoformat(sent.content["ts"])
    assert sent.content["ts"].endswith("Z")
    assert abs((datetime.now(UTC) - at).total_seconds()) < 60  # noqa: TID251 - the real time
    assert world.broker.clean_ends.get(timeout=SECONDS) == DEVICE
    assert "Traceback" not in errors


def test_interrupt_while_waiting_for_a_line_ends_cleanly(
    world: World, enrolled: DeviceDirectory
) -> None:
    with running(enrolled, "--stdin") as process:
        world.broker.subscribed.get(timeout=SECONDS)
        process.send_signal(signal.SIGINT)
        # The input stays open: the reading thread is still waiting for it.
        code = process.wait(timeout=SECONDS)

    assert code == 0
    assert world.broker.clean_ends.get(timeout=SECONDS) == DEVICE


def test_commands_are_acknowledged_and_nonsense_is_not(
    world: World, enrolled: DeviceDirectory
) -> None:
    world.broker.behaviour.commands = [
        b"nonsense",
        b"{}",
        b'{"id":"c-1","do":"blink"}',
        b'{"id":7}',
    ]

    with running(enrolled, "--interval", "60") as process:
        acknowledged = [world.broker.published.get(timeout=SECONDS) for _ in range(2)]
        process.send_signal(signal.SIGTERM)
        _, errors = end_of(process)

    assert world.broker.subscribed.get(timeout=SECONDS) == NAME.command_topic
    assert [each.content for each in acknowledged] == [
        {"id": "c-1", "status": "received"},
        {"id": 7, "status": "received"},
    ]
    assert {each.topic for each in acknowledged} == {NAME.command_ack_topic}
    assert errors.count("command_ignored") == 2


@pytest.mark.parametrize(("protocol", "code"), [("3.1.1", 5), ("5", 0x87)])
def test_refused_connect_ends_with_its_own_code_when_asked(
    world: World, enrolled: DeviceDirectory, protocol: str, code: int
) -> None:
    world.broker.behaviour.refuse_code = code

    with running(enrolled, "--exit-when-refused", "--protocol", protocol) as process:
        ended, errors = end_of(process)

    assert ended == 6
    assert "Not authorized" in errors


def test_refused_connect_is_retried_slowly_otherwise(
    world: World, enrolled: DeviceDirectory
) -> None:
    world.broker.behaviour.refuse_code = 5

    with running(enrolled) as process:
        world.broker.connected.get(timeout=SECONDS)
        with pytest.raises(queue.Empty):
            world.broker.connected.get(timeout=2.5)
        process.send_signal(signal.SIGTERM)
        code, errors = end_of(process)

    assert code == 0
    assert errors.count("connection_refused") == 1


def test_busy_broker_is_no_refusal(world: World, enrolled: DeviceDirectory) -> None:
    world.broker.behaviour.refuse_code = 3

    with running(enrolled, "--exit-when-refused") as process:
        for _ in range(2):
            world.broker.connected.get(timeout=SECONDS)
        process.send_signal(signal.SIGTERM)
        code, _ = end_of(process)

    assert code == 0


def test_broker_that_does_not_accept_the_certificate_counts_as_refusal(
    world: World, enrolled: DeviceDirectory
) -> None:
    stranger = Ca("Strangers")
    key = world.tmp_path / "unused"
    key.write_bytes(pem(stranger.certificate))
    world.broker.stop()
    tls = server_context(world.web, world.tmp_path)
    tls.verify_mode = ssl.CERT_REQUIRED
    tls.load_verify_locations(key)
    strict = FakeBroker(tls, port=world.provisioning.broker_port)
    strict.start()

    with running(enrolled, "--exit-when-refused") as process:
        code, errors = end_of(process)
    strict.stop()

    assert code == 6
    assert "does not accept our certificate" in errors


@pytest.mark.parametrize(("authority", "host"), [("stranger", "localhost"), ("web", "b.example")])
def test_broker_that_cannot_prove_its_name_gets_nothing(
    world: World, enrolled: DeviceDirectory, authority: str, host: str
) -> None:
    world.broker.stop()
    ca = world.web if authority == "web" else Ca("Stranger")
    false = FakeBroker(
        server_context(ca, world.tmp_path, host), port=world.provisioning.broker_port
    )
    false.start()

    with running(enrolled) as process:
        line = process.stderr.readline().decode() if process.stderr else ""
        process.send_signal(signal.SIGTERM)
        code, _ = end_of(process)
    false.stop()

    assert code == 0
    assert "connection_failed" in line
    assert "CERTIFICATE_VERIFY_FAILED" in line
    assert false.connected.empty()


def test_device_that_is_not_enrolled_does_not_run(directory: DeviceDirectory) -> None:
    assert main(["run", "--dir", str(directory.path)]) == 5


def test_key_that_others_can_read_is_not_used(enrolled: DeviceDirectory) -> None:
    enrolled.key.chmod(0o644)

    assert main(["run", "--dir", str(enrolled.path)]) == 5


def test_status_of_a_good_device_is_zero(
    enrolled: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()

    code = main(["status", "--json", "--dir", str(enrolled.path)])

    assert code == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["good"], shown["device_id"]) == (True, DEVICE)
    assert shown["certificate"]["days_left"] == 89
    assert not shown["certificate"]["renewal_due"]
    assert shown["key"]["private"]


def test_status_warns_past_two_thirds_of_the_lifetime(
    world: World, directory: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    world.provisioning.issue = lambda issuer, key: issuer.device(
        key, since=61 * DAY, until=29 * DAY
    )
    main(world.enroll_arguments(directory.path, "--token", "t0"))

    code = main(["status", "--dir", str(directory.path)])

    assert code == 0
    assert "two thirds" in capsys.readouterr().out


def test_status_tells_an_open_key(
    enrolled: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    enrolled.key.chmod(0o640)

    code = main(["status", "--dir", str(enrolled.path)])

    assert code == 1
    assert "others can use the key" in capsys.readouterr().out


def test_status_without_enrolment_is_one(directory: DeviceDirectory) -> None:
    assert main(["status", "--dir", str(directory.path)]) == 1
