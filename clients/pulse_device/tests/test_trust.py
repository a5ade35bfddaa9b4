"""The program says which authorities it knows, keeps those that it is told of, and renews early when asked to."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest
from clients.pulse_device.tests.pki import DAY, Ca, pem
from clients.pulse_device.tests.test_run import SECONDS, end_of, running
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from pulse_device.__main__ import main
from pulse_device.certificates import UntrustedCertificateError, check_authorities

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.pulse_device.tests.conftest import World

    from pulse_device.directory import DeviceDirectory

pytestmark = pytest.mark.slow

OFTEN = ("--trust-interval", "0.1", "--interval", "60")


class Teller:
    """Answers reports as the CA does, and notes them."""

    def __init__(self, authorities: bytes, renew_in: object = None) -> None:
        self.authorities, self.renew_in = authorities, renew_in
        self.reports: list[list[str]] = []
        self.requests = 0

    def __call__(self, request: dict[str, Any]) -> bytes | None:
        if "csr" in request:
            self.requests += 1
            return None
        self.reports.append(request["trust"])
        told = {"authorities": self.authorities.decode(), "renew_in_seconds": self.renew_in}
        return json.dumps({"trust": told}).encode()


@pytest.fixture
def enrolled(world: World, directory: DeviceDirectory) -> DeviceDirectory:
    assert main(world.enroll_arguments(directory.path, "--token", "t0")) == 0
    return directory


def fingerprints(content: bytes) -> list[str]:
    certificates: Sequence[x509.Certificate] = x509.load_pem_x509_certificates(content)
    return sorted(one.fingerprint(SHA256()).hex() for one in certificates)


def until_reported(world: World, directory: DeviceDirectory, teller: Teller, times: int) -> str:
    with running(directory, *OFTEN) as process:
        while len(teller.reports) < times:
            world.broker.published.get(timeout=SECONDS)
        process.send_signal(signal.SIGTERM)
        code, errors = end_of(process)
    assert code == 0
    return errors


def test_device_keeps_the_authorities_that_it_is_told_of_and_confirms_them(
    world: World, enrolled: DeviceDirectory
) -> None:
    both = enrolled.chain.read_bytes() + pem(Ca("Next").certificate)
    world.broker.behaviour.renew = teller = Teller(both)

    errors = until_reported(world, enrolled, teller, 3)

    assert teller.reports[0] == fingerprints(enrolled.chain.read_bytes())
    assert teller.reports[-1] == fingerprints(both)
    assert fingerprints(enrolled.authorities.read_bytes()) == fingerprints(both)
    assert enrolled.authorities.stat().st_mode & 0o777 == 0o600
    assert errors.count("authorities_changed") == 1
    assert teller.requests == 0


def test_device_renews_early_when_it_is_asked_to(world: World, enrolled: DeviceDirectory) -> None:
    world.broker.behaviour.renew = teller = Teller(enrolled.chain.read_bytes(), renew_in=0)

    until_reported(world, enrolled, teller, 2)

    assert teller.requests == 1


@pytest.mark.parametrize(
    ("told", "renew_in"),
    [(b"", None), (b"no certificates", 0), (None, -1), (None, "soon"), (None, 1.5)],
)
def test_nonsense_changes_nothing(
    world: World, enrolled: DeviceDirectory, told: bytes | None, renew_in: object
) -> None:
    given = enrolled.chain.read_bytes() if told is None else told
    world.broker.behaviour.renew = teller = Teller(given, renew_in)

    errors = until_reported(world, enrolled, teller, 2)

    assert "authorities_ignored" in errors
    assert not enrolled.authorities.exists()
    assert teller.requests == 0


def test_another_enrolment_forgets_what_was_trusted(
    world: World, enrolled: DeviceDirectory
) -> None:
    enrolled.write_authorities(b"of another server")

    assert main(world.enroll_arguments(enrolled.path, "--token", "t1", "--force")) == 0

    assert not enrolled.authorities.exists()


def test_authorities_are_cas_within_their_dates_that_hang_from_one_among_them() -> None:
    ca = Ca("Root")
    root = ca.certificate
    issuing = ca.issuing().certificate
    now = root.not_valid_before_utc + DAY
    check_authorities([issuing, root], now)

    for wrong in ([], [issuing], [root] * 65):
        with pytest.raises(UntrustedCertificateError):
            check_authorities(wrong, now)
    with pytest.raises(UntrustedCertificateError):
        check_authorities([root], root.not_valid_after_utc)
