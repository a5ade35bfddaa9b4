"""One issuing CA follows another under two live devices: nobody is thrown out, and the old one's certificates end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx2
import psycopg
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.integration.waiting import eventually
from tests.integration.world import CLI, Device, World

from pulse_device.keys import certificate_request_pem
from pulse_local.broker.testing.peer import Peer
from pulse_local.environments import minimal
from pulse_local.seed import ACME, GLOBEX, seed_tenants
from pulse_local.throwaway import throwaway_stack

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pulse_local.stack import Stack

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

THROWN_OUT = ("connection_lost", "connection_refused", "connection_failed")


@pytest.fixture(scope="module")
def own_world(artifacts: Path) -> Iterator[World]:
    """A stack of its own: everybody in it moves to another authority."""
    with throwaway_stack(logs=artifacts / "logs-rollover") as running:
        seed_tenants(running)
        yield World(stack=running, folder=running.data / "devices-of-tests")


@dataclass(frozen=True)
class Authority:
    """``pulse-ca``, run where the service's settings are."""

    stack: Stack

    def run(self, *arguments: str, **more: str) -> str:
        done = self._try(*arguments, **more)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refuse(self, *arguments: str) -> str:
        done = self._try(*arguments)
        assert done.returncode == 1, done.stdout
        return done.stderr

    def stand_by(self, folder: Path) -> str:
        """Go through the ceremony for another issuing CA, and return its id."""
        root = self.stack.data / "root-ca"
        request = self.run("request").splitlines()[-1]
        base_url = self.stack.environments.of_service("cert_worker")["CRL_BASE_URL"]
        passphrase = (root / "passphrase").read_text()
        copied = shutil.copy(request, folder)
        signed = self.run(
            "sign", str(root), str(copied), "--base-url", base_url, ROOT_KEY_PASSPHRASE=passphrase
        )
        installed = self.run("install", signed.splitlines()[-1])
        return re.sub(r".*/([0-9a-f-]{36})\.device\.pem", r"\1", installed.splitlines()[-1])

    def _try(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cert_worker.command", *arguments],
            env={**self.stack.environments.of_service("cert_worker"), **more},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )


@dataclass(frozen=True)
class Running:
    """The customers' own program at work."""

    device: Device
    log: Path

    @property
    def events(self) -> list[str]:
        return [
            line.split()[2] for line in self.log.read_text().splitlines() if line.count(" ") > 1
        ]

    @property
    def issuer(self) -> str:
        chain = (self.device.folder / "certificate.pem").read_bytes()
        return x509.load_pem_x509_certificates(chain)[0].issuer.rfc4514_string()


@contextmanager
def running(device: Device, log: Path) -> Iterator[Running]:
    arguments = ["run", "--dir", str(device.folder), "--interval", "0.5", "--trust-interval", "2"]
    with log.open("wb") as out:
        process = subprocess.Popen([CLI, *arguments], env=minimal(), stderr=out, stdout=out)
    try:
        yield Running(device, log)
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0, log.read_text()


@dataclass(frozen=True)
class Steps:
    """A roll-over as the operator sees it."""

    pulse_ca: Authority
    rollover: str

    @classmethod
    def planned(cls, pulse_ca: Authority, new: str) -> Steps:
        told = pulse_ca.run("rollover", "plan", new, "--least-share", "1", "--drain-days", "0")
        return cls(pulse_ca, told.split()[1])

    def forward(self, state: str) -> None:
        told = self.pulse_ca.run("rollover", "step", self.rollover)
        assert told.splitlines()[0].endswith(state), told

    def back(self, state: str) -> None:
        told = self.pulse_ca.run("rollover", "back", self.rollover)
        assert told.splitlines()[0].endswith(state), told

    def until(self, told: str) -> None:
        def seen() -> bool:
            return told in self.pulse_ca.run("rollover", "show")

        eventually(seen, told, 40)


def _until_connected(one: Running) -> None:
    eventually(lambda: "connected" in one.events, "the device to connect")


def _until_refused(device: Device) -> None:
    """Wait until the gate has heard: what ends trust reaches it by events."""
    eventually(lambda: Peer(device.client(), device.mqtts_port).connect() != 0, "the refusal")


def _until_renewed(one: Running, issuer: str) -> None:
    eventually(lambda: issuer in one.issuer, "the device to renew by itself", 40)


def _roll_over(world: World, steps: Steps, new: str, both: Sequence[Running]) -> None:
    """Take every step, and one back on the way; each waits for what must hold."""
    steps.forward("distributing")
    # Both learn of the next authority and say so, over their live sessions.
    steps.until("of 2 devices 2 trust the new one")
    steps.forward("dual_trust")
    steps.forward("issuing_from_new")
    steps.back("dual_trust")
    steps.forward("issuing_from_new")
    # Somebody shows that it works; then all others are asked to renew.
    assert "none yet" in steps.pulse_ca.refuse("rollover", "step", steps.rollover)
    newcomer = world.enrol(ACME, "Newcomer")
    assert new in Running(newcomer, newcomer.folder).issuer
    with _renewed(newcomer, newcomer.folder.with_suffix(".renewed")).online():
        steps.until("[x] a device has come in")
    steps.forward("draining")
    for one in both:
        _until_renewed(one, new)
    steps.until("[x] nothing is left of the old one")
    steps.forward("retired")


def test_two_live_devices_move_to_the_next_authority_and_neither_is_thrown_out(
    own_world: World, tmp_path: Path
) -> None:
    devices = [own_world.enrol(ACME, "Reactor"), own_world.enrol(GLOBEX, "Toaster")]
    kept = [_copy(device, tmp_path / f"kept-{device.device_id}") for device in devices]
    pulse_ca = Authority(own_world.stack)
    old = re.findall(r"issuer (\S+)  device  active", pulse_ca.run("rollover", "show"))[0]
    new = pulse_ca.stand_by(tmp_path)
    Steps.planned(pulse_ca, new).back("cancelled")  # a plan binds nobody
    with (
        psycopg.connect(own_world.superuser, autocommit=True) as database,
        running(devices[0], tmp_path / "first.log") as first,
        running(devices[1], tmp_path / "second.log") as second,
    ):
        for one in (first, second):
            _until_connected(one)

        _roll_over(own_world, Steps.planned(pulse_ca, new), new, (first, second))
        for device in devices:
            _require_readings(database, device)

        # Each left once, by itself, to come back with its new certificate.
        for one in (first, second):
            assert one.events.count("connected") == 2, one.log.read_text()
            assert not [event for event in one.events if event in THROWN_OUT], one.log.read_text()
        _require_worthless(own_world, database, kept, old)


def _require_worthless(
    world: World, database: psycopg.Connection, kept: Sequence[Device], old: str
) -> None:
    """What the retired issuer made opens nothing, even where nobody revoked it; its lists are still to be had."""
    database.execute(
        "UPDATE certificates SET status = 'valid', revoked_at = NULL, revocation_reason = NULL,"
        " superseded = false WHERE device_id = %s AND issuer_id = %s",
        [kept[1].device_id, old],
    )
    for device in kept:
        _until_refused(device)
    base_url = world.stack.environments.of_service("cert_worker")["CRL_BASE_URL"]

    def left_the_bundle() -> bool | None:
        bundle = x509.load_pem_x509_certificates(httpx2.get(f"{base_url}/bundle.pem").content)
        return None if any(old in one.subject.rfc4514_string() for one in bundle) else True

    eventually(left_the_bundle, "a bundle without the retired issuer")
    assert httpx2.get(f"{base_url}/{old}/0.crl").status_code == httpx2.codes.OK


def _copy(device: Device, folder: Path) -> Device:
    shutil.copytree(device.folder, folder)
    return replace(device, folder=folder)


def _renewed(device: Device, folder: Path) -> Device:
    """Renew over the session, as another program would."""
    key = ec.generate_private_key(ec.SECP256R1())
    with device.online() as peer:
        peer.subscribe(f"{device.tree}/cert/issued")
        request = json.dumps({"csr": certificate_request_pem(key)})
        peer.publish_and_wait(f"{device.tree}/cert/renew", request)
        answer = json.loads(peer.receive().payload)
    again = _copy(device, folder)
    (folder / "certificate.pem").write_text(answer["certificate"] + answer["chain"])
    (folder / "device-key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return again


def _require_readings(database: psycopg.Connection, device: Device) -> None:
    """Wait for a reading that is newer than this moment."""
    (now,) = database.execute("SELECT clock_timestamp()").fetchone() or (None,)

    def newer() -> bool:
        row = database.execute(
            "SELECT count(*) FROM telemetry WHERE device_id = %s AND received_at > %s",
            [device.device_id, now],
        ).fetchone()
        return row is not None and row[0] > 0

    eventually(newer, "a reading with the new certificate")
