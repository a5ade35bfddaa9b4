"""The whole service in its own process: asked over NATS, read over HTTP, told to stop, started again."""

from __future__ import annotations

import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
import pytest
from conftest import PASSWORD, free_port, wait_for_port
from cryptography import x509
from services.cert_worker.tests.conftest import make_csr, revoke_request, sign_request

from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.errors import Conflict, Malformed, NotFound

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from conftest import Nats
    from services.cert_worker.tests.conftest import FreshDatabase

pytestmark = pytest.mark.anyio


@dataclass
class Process:
    environment: dict[str, str]
    log: Path
    running: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return int(self.environment["HTTP_PORT"])

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.running = subprocess.Popen(
                [sys.executable, "-m", "cert_worker"], env=self.environment, stderr=log, stdout=log
            )
        wait_for_port(self.port, 20)

    def stop(self) -> int:
        assert self.running is not None
        self.running.send_signal(signal.SIGTERM)
        return self.running.wait(15)

    def get(self, path: str) -> httpx2.Response:
        return httpx2.get(f"http://127.0.0.1:{self.port}{path}")


@pytest.fixture
def process(fresh: FreshDatabase, nats_server: Nats, tmp_path: Path) -> Iterator[Process]:
    port = free_port()
    process = Process(
        {
            "PULSE_ENV": "development",
            "HTTP_PORT": str(port),
            "DATABASE_URL": fresh.url,
            "NATS_URL": nats_server.url,
            "NATS_USER": "test",
            "NATS_PASSWORD": PASSWORD,
            "CA_DIRECTORY": str(tmp_path / "ca"),
            "CA_KEY_PASSPHRASE": "a-passphrase-of-at-least-32-characters",
            "CRL_BASE_URL": f"http://127.0.0.1:{port}/pki",
        },
        tmp_path / "log",
    )
    folder = tmp_path / "elsewhere"
    made = subprocess.run(
        [sys.executable, "-m", "cert_worker.command", "development", str(folder)],
        env=process.environment,
        check=True,
        capture_output=True,
    )
    assert made.stdout.strip().endswith(b".device.pem")
    process.start()
    yield process
    if process.running is not None and process.running.poll() is None:
        process.running.kill()
        process.running.wait()


@pytest.fixture
async def bus(nats_server: Nats) -> AsyncIterator[Bus]:
    bus = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="provision_api"
    )
    yield bus
    await bus.close()


async def test_certificate_is_issued_revoked_and_listed(
    process: Process, bus: Bus, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()
    assert process.get("/readyz").status_code == 200

    issued = await bus.call(sign_request(tenant_id, device_id), events.SignReply)
    revoked = await bus.call(revoke_request(tenant_id, device_id), events.RevokeReply)

    certificate = x509.load_pem_x509_certificate(issued.certificate_pem.encode())
    (point,) = certificate.extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name is not None
    assert revoked.revoked == 1
    listed = _list_with(process, point.full_name[0].value.partition(str(process.port))[2])
    assert listed.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None
    metrics = process.get("/metrics").text
    assert "pulse_certificates_issued_total 1.0" in metrics
    assert "pulse_certificates_revoked_total 1.0" in metrics


def _list_with(process: Process, path: str) -> x509.CertificateRevocationList:
    """Fetch the list until it has an entry; a new one is made right after the revocation."""
    for _ in range(1000):
        found = x509.load_pem_x509_crl(process.get(path).content)
        if len(found):
            return found
    raise AssertionError("the revocation was never listed")


async def test_events_reach_the_stream(process: Process, bus: Bus, fresh: FreshDatabase) -> None:
    tenant_id, device_id = fresh.add_device()
    await bus.ensure_stream(events.STREAM_EVENTS)
    subscription = await bus.jetstream.subscribe("pulse.events.>", ordered_consumer=True)

    await bus.call(sign_request(tenant_id, device_id), events.SignReply)
    await bus.call(revoke_request(tenant_id, device_id), events.RevokeReply)

    enrolled, revoked = [await subscription.next_msg(timeout=10) for _ in range(2)]
    assert enrolled.subject == "pulse.events.device.enrolled"
    assert revoked.subject == "pulse.events.cert.revoked"
    assert events.CertificateRevoked.model_validate_json(revoked.data).device_id == device_id


async def test_refusals_come_back_over_nats(
    process: Process, bus: Bus, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()
    _, others_device = fresh.add_device()
    _, neighbour = fresh.add_device(tenant_id)
    csr = make_csr()
    await bus.call(sign_request(tenant_id, device_id, csr), events.SignReply)

    with pytest.raises(NotFound):
        await bus.call(sign_request(tenant_id, others_device), events.SignReply)
    with pytest.raises(Malformed, match="PKCS#10"):
        await bus.call(sign_request(tenant_id, device_id, "x"), events.SignReply)
    with pytest.raises(Conflict, match="another device"):
        await bus.call(sign_request(tenant_id, neighbour, csr), events.SignReply)


async def test_restart_keeps_the_ca_and_the_number_goes_on(process: Process) -> None:
    bundle = process.get("/pki/bundle.pem").content
    issuing = x509.load_pem_x509_certificates(bundle)[0]
    name = issuing.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)[0].value
    path = f"/pki/{str(name).rpartition(' ')[2]}/0.crl"
    before = _number(process.get(path).content)
    assert process.stop() == 0

    process.start()

    assert process.get("/pki/bundle.pem").content == bundle
    assert _number(process.get(path).content) >= before


def _number(pem: bytes) -> int:
    found = x509.load_pem_x509_crl(pem)
    return found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


async def test_wrong_passphrase_refuses_to_start_and_says_so(process: Process) -> None:
    process.stop()
    wrong = process.environment | {"CA_KEY_PASSPHRASE": "another-passphrase-of-32-characters!"}

    finished = subprocess.run(
        [sys.executable, "-m", "cert_worker"],
        env=wrong,
        capture_output=True,
        check=False,
        timeout=20,
    )

    assert finished.returncode == 78
    assert b"cert_worker cannot start" in finished.stderr
    assert b"CA_KEY_PASSPHRASE is wrong" in finished.stderr
    assert b"another-passphrase" not in finished.stderr + finished.stdout
