"""The program renews by itself, and at every moment holds a pair that the broker lets in."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from clients.pulse_device.tests.pki import DAY, NAME, pem
from clients.pulse_device.tests.test_run import SECONDS, end_of, running
from cryptography import x509

from pulse_device import directory as files
from pulse_device.__main__ import main
from pulse_device.identity import load_identity
from pulse_device.keys import new_key_pem, parse_key

if TYPE_CHECKING:
    from clients.pulse_device.tests.conftest import World
    from clients.pulse_device.tests.fake_broker import Connected

    from pulse_device.directory import DeviceDirectory

pytestmark = pytest.mark.slow


@pytest.fixture
def due(world: World, directory: DeviceDirectory) -> DeviceDirectory:
    """A device that is enrolled, and whose certificate is nearly at its end."""
    world.provisioning.issue = lambda ca, key: ca.device(key, since=95 * DAY, until=5 * DAY)
    assert main(world.enroll_arguments(directory.path, "--token", "t0")) == 0
    return directory


class Renewer:
    """Answers requests for renewal as the CA does."""

    def __init__(self, world: World) -> None:
        self._issuing = world.devices.issuing()
        self._chain = pem(self._issuing.certificate, world.devices.certificate).decode()
        self.asked: list[x509.CertificateSigningRequest] = []
        self.issued: list[x509.Certificate] = []
        self.silent = 0

    def __call__(self, request: dict[str, Any]) -> bytes | None:
        csr = x509.load_pem_x509_csr(request["csr"].encode())
        self.asked.append(csr)
        if self.silent:
            self.silent -= 1
            return None
        self.issued.append(self._issuing.device(csr.public_key(), name=NAME))
        return json.dumps(
            {"certificate": pem(self.issued[-1]).decode(), "chain": self._chain}
        ).encode()


@pytest.fixture
def renewer(world: World) -> Renewer:
    found = Renewer(world)
    world.broker.behaviour.renew = found
    return found


def serial(connected: Connected) -> int:
    return int(connected.certificate["serialNumber"], 16)


def leaf_of(directory: DeviceDirectory) -> x509.Certificate:
    return x509.load_pem_x509_certificates(directory.certificate.read_bytes())[0]


def test_device_renews_and_switches_once_the_new_pair_has_connected(
    world: World, due: DeviceDirectory, renewer: Renewer
) -> None:
    old = leaf_of(due)

    with running(due, "--interval", "0.1") as process:
        first = world.broker.connected.get(timeout=SECONDS)
        second = world.broker.connected.get(timeout=SECONDS)
        while leaf_of(due) == old:
            world.broker.published.get(timeout=SECONDS)
        process.send_signal(signal.SIGTERM)
        code, errors = end_of(process)

    assert code == 0
    assert "certificate_renewed" in errors
    assert (serial(first), serial(second)) == (old.serial_number, renewer.issued[0].serial_number)
    assert leaf_of(due) == renewer.issued[0]
    assert renewer.issued[0].public_key() != old.public_key()
    assert load_identity(due).lifetime.serial_number == f"{renewer.issued[0].serial_number:x}"
    assert list(due.path.glob("*.next")) == []
    assert not due.renewed.exists()


def test_refused_renewal_leaves_the_device_with_what_it_had(
    world: World, due: DeviceDirectory, renewer: Renewer
) -> None:
    old = leaf_of(due)

    def renew(request: dict[str, Any]) -> bytes | None:
        answer = renewer(request)
        world.broker.behaviour.refused_serials.add(renewer.issued[-1].serial_number)
        return answer

    world.broker.behaviour.renew = renew

    with running(due, "--interval", "0.1", "--exit-when-refused") as process:
        seen = [serial(world.broker.connected.get(timeout=SECONDS)) for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        code, _ = end_of(process)

    assert code == 0
    assert seen == [old.serial_number, renewer.issued[0].serial_number, old.serial_number]
    assert leaf_of(due) == old


def test_lost_answer_is_asked_for_again_with_the_same_key(
    world: World, due: DeviceDirectory, renewer: Renewer
) -> None:
    renewer.silent = 1
    for _ in range(2):
        asked = len(renewer.asked)
        with running(due, "--interval", "0.1") as process:
            while len(renewer.asked) == asked:
                world.broker.published.get(timeout=SECONDS)
            process.send_signal(signal.SIGTERM)
            end_of(process)

    assert len(renewer.asked) >= 2
    assert renewer.asked[0].public_key() == renewer.asked[1].public_key()


@pytest.mark.parametrize(
    "answer",
    [
        b"[]",
        b"{}",
        b'{"error":{"code":"conflict","detail":"no"}}',
        b'{"certificate":"x","chain":"y"}',
    ],
)
def test_answer_that_is_no_certificate_for_us_changes_nothing(
    world: World, due: DeviceDirectory, answer: bytes
) -> None:
    old = leaf_of(due)
    world.broker.behaviour.renew = lambda _: answer

    with running(due, "--interval", "0.1") as process:
        while "csr" not in world.broker.published.get(timeout=SECONDS).content:
            pass
        for _ in range(3):
            world.broker.published.get(timeout=SECONDS)
        process.send_signal(signal.SIGTERM)
        code, errors = end_of(process)

    assert code == 0
    assert "renewal_failed" in errors
    assert leaf_of(due) == old
    assert not files.successor(due.certificate).exists()


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_switch_that_the_power_cut_short_is_finished(
    world: World, due: DeviceDirectory, renamed: int
) -> None:
    content = new_key_pem()
    due.write_next(due.key, content)
    issuing = world.devices.issuing()
    leaf = issuing.device(parse_key(content, name="key").public_key(), name=NAME)
    due.write_next(due.certificate, pem(leaf, issuing.certificate))
    due.renewed.touch()
    for path in (due.key, due.certificate)[:renamed]:
        files.successor(path).replace(path)

    found = load_identity(due)

    assert found.lifetime.serial_number == f"{leaf.serial_number:x}"
    assert not due.renewed.exists()


def test_new_enrolment_drops_a_renewal_of_the_identity_before(
    world: World, due: DeviceDirectory
) -> None:
    due.write_next(due.key, new_key_pem())
    due.write_next(due.certificate, b"")

    assert main([*world.enroll_arguments(due.path, "--token", "t1"), "--force"]) == 0

    assert list(due.path.glob("*.next")) == []
