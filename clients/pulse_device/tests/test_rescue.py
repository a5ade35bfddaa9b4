"""A device whose certificate has expired comes back with the same key when it is allowed: by command and by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from clients.pulse_device.tests.pki import DAY, NAME, pem
from clients.pulse_device.tests.test_run import SECONDS, end_of, running
from cryptography import x509

from pulse_device import directory as files
from pulse_device.__main__ import main
from pulse_device.identity import load_identity
from pulse_device.keys import parse_key, same_key

if TYPE_CHECKING:
    from clients.pulse_device.tests.conftest import World
    from clients.pulse_device.tests.fake_provisioning import Answer

    from pulse_device.directory import DeviceDirectory

pytestmark = pytest.mark.slow
REFUSED: Answer = (401, {"detail": "no rescue is open for this certificate"})


@pytest.fixture
def expired(world: World, directory: DeviceDirectory) -> DeviceDirectory:
    assert main(world.enroll_arguments(directory.path, "--token", "t0")) == 0
    key = parse_key(files.read(directory.key), name="key")
    old = world.devices.issuing().device(key.public_key(), name=NAME, since=95 * DAY, until=-DAY)
    directory.certificate.write_bytes(pem(old))
    world.provisioning.requests.clear()
    return directory


def rescue(world: World, directory: DeviceDirectory) -> int:
    return main(["rescue", "--ca", str(world.web_ca_file), "--dir", str(directory.path)])


def leaf_of(directory: DeviceDirectory) -> x509.Certificate:
    return x509.load_pem_x509_certificates(directory.certificate.read_bytes())[0]


def test_the_command_fetches_the_next_certificate_for_the_same_key(
    world: World, expired: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    before, key = leaf_of(expired), expired.key.read_bytes()

    assert rescue(world, expired) == 0

    (request,) = world.provisioning.requests
    assert request["certificate"] == pem(before).decode()
    assert same_key(before, parse_key(key, name="key"))
    assert expired.key.read_bytes() == key
    assert leaf_of(expired).not_valid_after_utc > before.not_valid_after_utc
    assert load_identity(expired).key_is_private
    assert "rescued until" in capsys.readouterr().out


def test_a_refusal_leaves_everything_as_it_was(
    world: World, expired: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    before = leaf_of(expired)
    world.provisioning.refuse_with = REFUSED

    assert rescue(world, expired) == 3

    assert leaf_of(expired) == before
    assert not expired.has_next
    assert "no rescue is open" in capsys.readouterr().err


def test_a_certificate_for_another_key_is_not_taken(world: World, expired: DeviceDirectory) -> None:
    before = leaf_of(expired)
    other = world.devices.issuing()
    world.provisioning.issue = lambda ca, _: ca.device(other.certificate.public_key(), name=NAME)

    assert rescue(world, expired) == 3

    assert leaf_of(expired) == before


def test_what_has_not_expired_is_not_rescued(world: World, directory: DeviceDirectory) -> None:
    assert main(world.enroll_arguments(directory.path, "--token", "t0")) == 0

    assert rescue(world, directory) == 2


def test_the_running_program_comes_back_by_itself(world: World, expired: DeviceDirectory) -> None:
    before = leaf_of(expired)

    with running(expired, "--interval", "0.1", "--ca", str(world.web_ca_file)) as process:
        connected = world.broker.connected.get(timeout=SECONDS)
        world.broker.published.get(timeout=SECONDS)
        process.terminate()
        code, errors = end_of(process)

    assert code == 0
    assert "certificate_rescued" in errors
    assert int(connected.certificate["serialNumber"], 16) != before.serial_number
    assert leaf_of(expired) != before


def test_the_running_program_does_not_hammer_a_server_that_refuses(
    world: World, expired: DeviceDirectory
) -> None:
    world.provisioning.refuse_with = REFUSED
    world.broker.stop()  # Whom nobody answers tries again sooner than whom a broker refuses.

    with running(expired, "--interval", "0.1", "--ca", str(world.web_ca_file)) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline().decode()]
        while sum("connection_" in line for line in lines) < 2:
            lines.append(process.stderr.readline().decode())
        process.terminate()
        end_of(process)

    assert any("rescue_failed" in line for line in lines)
    assert len(world.provisioning.requests) == 1
