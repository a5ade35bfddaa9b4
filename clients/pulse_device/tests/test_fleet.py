"""Enrolment as one of a fleet, against a server of our own over real TLS."""

from __future__ import annotations

from io import StringIO
from typing import TYPE_CHECKING

import pytest
from clients.pulse_device.tests.pki import NAME, TENANT
from cryptography.hazmat.primitives.asymmetric import ec

from pulse_device.__main__ import main
from pulse_device.fleet import WithFleet
from pulse_device.identity import load_identity
from pulse_device.keys import certificate_request_pem, new_key_pem
from pulse_device.provisioning import server_tls

if TYPE_CHECKING:
    from pathlib import Path

    from clients.pulse_device.tests.conftest import World

    from pulse_device.directory import DeviceDirectory

LABEL = f"{TENANT}.meters"
HELD: tuple[int, dict[str, object]] = (202, {"status": "held", "retry_after_seconds": 7})


def test_hardware_shows_its_secret(world: World, directory: DeviceDirectory) -> None:
    code = main(world.enroll_arguments(directory.path, "--hardware-id", "SN-1", "--token", "phs_x"))

    assert code == 0
    [asked] = world.provisioning.requests
    assert set(asked) == {"hardware_id", "csr", "secret"}
    assert (asked["hardware_id"], asked["secret"]) == ("SN-1", "phs_x")
    assert load_identity(directory).config.name == NAME


def test_hardware_has_its_makers_key_certified_whatever_an_attempt_before_left(
    world: World, directory: DeviceDirectory, tmp_path: Path
) -> None:
    maker = tmp_path / "maker.key"
    maker.write_bytes(new_key_pem())
    world.provisioning.refuse_with = (403, {"detail": "not you"})
    assert main(world.enroll_arguments(directory.path, "--token", "pet_x")) == 3
    world.provisioning.refuse_with = None
    shown = ("--maker-key", str(maker), "--label", LABEL)

    code = main(world.enroll_arguments(directory.path, "--hardware-id", "SN-1", *shown))

    asked = world.provisioning.requests[-1]
    assert code == 0
    assert set(asked) == {"hardware_id", "csr", "label"}
    assert asked["label"] == LABEL
    assert directory.key.read_bytes() == maker.read_bytes()
    assert load_identity(directory).key_is_private


def test_makers_key_that_is_none_is_a_local_error(
    world: World, directory: DeviceDirectory, tmp_path: Path
) -> None:
    maker = tmp_path / "maker.key"
    maker.write_text("no key")
    shown = ("--maker-key", str(maker), "--label", LABEL)

    assert main(world.enroll_arguments(directory.path, "--hardware-id", "SN-1", *shown)) == 5
    assert world.provisioning.requests == []


def test_held_device_asks_again_with_the_same_key_when_it_was_told_to(world: World) -> None:
    world.provisioning.refuse_with = HELD
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        world.provisioning.refuse_with = None if len(waited) == 2 else HELD

    way = WithFleet(
        server=world.provisioning.url,
        hardware_id="SN-1",
        tls=server_tls(world.web_ca_file),
        proof={"secret": "phs_x"},
        wait_seconds=60,
        tell=StringIO(),
        sleep=sleep,
        monotonic=lambda: 0.0,
    )

    key = ec.generate_private_key(ec.SECP256R1())

    answer = way.ask(certificate_request_pem(key))

    assert answer.name == NAME
    assert waited == [7, 7]
    assert len({asked["csr"] for asked in world.provisioning.requests}) == 1


def test_nobody_waits_longer_than_it_was_told(
    world: World, directory: DeviceDirectory, capsys: pytest.CaptureFixture[str]
) -> None:
    world.provisioning.refuse_with = HELD

    code = main(
        world.enroll_arguments(
            directory.path, "--hardware-id", "SN-1", "--token", "phs_x", "--wait", "5"
        )
    )

    assert code == 3
    assert "nobody has approved it yet" in capsys.readouterr().err


@pytest.mark.parametrize(
    "answer", [{}, {"retry_after_seconds": "soon"}, {"retry_after_seconds": None}]
)
def test_wait_that_is_none_is_refused(
    world: World, directory: DeviceDirectory, answer: dict[str, object]
) -> None:
    world.provisioning.refuse_with = (202, answer)

    code = main(world.enroll_arguments(directory.path, "--hardware-id", "SN-1", "--token", "phs_x"))

    assert code == 3


@pytest.mark.parametrize(
    "more",
    [
        ("--hardware-id", "SN 1", "--token", "phs_x"),
        ("--hardware-id", "SN-1", "--claim-cert", "claim.pem"),
        ("--claim-cert", "claim.pem", "--claim-key", "claim.key"),
        ("--hardware-id", "SN-1"),
        ("--hardware-id", "SN-1", "--maker-key", "maker.key"),
        ("--hardware-id", "SN-1", "--label", LABEL),
        ("--maker-key", "maker.key", "--label", LABEL),
        ("--hardware-id", "SN-1", "--maker-key", "maker.key", "--label", "no-tenant"),
        ("--hardware-id", "SN-1", "--maker-key", "maker.key", "--label", LABEL, "--token", "phs_x"),
    ],
)
def test_options_that_make_no_sense_are_a_usage_error(
    world: World, directory: DeviceDirectory, more: tuple[str, ...]
) -> None:
    assert main(world.enroll_arguments(directory.path, *more)) == 2
    assert world.provisioning.requests == []


def test_claim_certificate_that_is_not_there_is_a_local_error(
    world: World, directory: DeviceDirectory
) -> None:
    more = ("--hardware-id", "SN-1", "--claim-cert", "/nothing", "--claim-key", "/nothing")

    assert main(world.enroll_arguments(directory.path, *more)) == 5
