"""How many certificates a second the CA issues over NATS, each with its rows, audit and event committed.

The service runs in its own process beside PostgreSQL, NATS and this client, all on the same cores.  Fails below 670 a
second (P-256), or below a quarter of what one process does alone, from the CSR's text to the certificate's (read it,
check its signature, build, sign, encode), measured before and after in the same run.  Building and signing by
themselves are shown too: that ratio is about half as high, and is not held to the limit.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psycopg
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

# As in the tests' own configuration, the repository is where `tests` is found.
sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.parts import PASSWORD, Nats, Postgres, free_port, running_postgres, wait_for_port

from cert_worker import profile
from cert_worker.ca import FileSigner
from cert_worker.csr import read_csr
from cert_worker.domain import Issuer
from pulse_common import events
from pulse_common.bus import Bus
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from collections.abc import Iterator

LEAST_PER_SECOND = 670.0
LEAST_RATIO = 0.25
CERTIFICATES = 4000
WARM_UP = 300
AT_ONCE = 96
BASE_URL = "http://127.0.0.1/pki"


def main() -> int:
    folder = Path(tempfile.mkdtemp(prefix="pulse-bench-"))
    folder.chmod(0o755)
    requests = make_requests()
    nats = Nats(free_port(), folder / "jetstream")
    nats.start()
    try:
        with running_postgres(folder) as postgres:
            add_devices(postgres, requests)
            before = bare_rate(requests)
            with running_service(postgres, nats, folder):
                rate = asyncio.run(measure(nats, requests))
            after = bare_rate(requests)
            signing = sign_only_rate(requests)
            kept = rows_kept(postgres)
    finally:
        nats.kill()
        shutil.rmtree(folder, ignore_errors=True)
    bare = (before + after) / 2
    ratio = rate / bare
    print(f"issued over NATS: {rate:.0f}/s; at least {LEAST_PER_SECOND:.0f}")
    print(f"CSR to certificate in one process: {before:.0f}/s before, {after:.0f}/s after")
    print(f"ratio: {ratio:.2f}; at least {LEAST_RATIO}")
    print(f"build and sign alone: {signing:.0f}/s, ratio {rate / signing:.2f}")
    print(f"rows of certificates, audit, outbox: {kept}")
    good = rate >= LEAST_PER_SECOND and ratio >= LEAST_RATIO
    return 0 if good and set(kept) == {len(requests)} else 1


def make_requests() -> list[events.SignRequest]:
    """One tenant's devices, each with a key of its own."""
    tenant_id = uuid4()
    return [
        events.SignRequest(
            tenant_id=tenant_id, device_id=uuid4(), csr_pem=make_csr(), actor_id="benchmark"
        )
        for _ in range(WARM_UP + CERTIFICATES)
    ]


def make_csr() -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    csr = builder.sign(ec.generate_private_key(ec.SECP256R1()), SHA256())
    return csr.public_bytes(Encoding.PEM).decode()


def add_devices(postgres: Postgres, requests: list[events.SignRequest]) -> None:
    tenant_id = requests[0].tenant_id
    with psycopg.connect(postgres.superuser, autocommit=True) as rows:
        rows.execute(
            "INSERT INTO tenants (tenant_id, name) VALUES (%(tenant)s, 'Acme')",
            {"tenant": tenant_id},
        )
        rows.execute(
            """
            INSERT INTO devices (tenant_id, device_id, name)
            SELECT %(tenant)s, device_id, 'lamp' FROM unnest(%(devices)s::uuid[]) AS device_id
            """,
            {"tenant": tenant_id, "devices": [request.device_id for request in requests]},
        )


@contextmanager
def running_service(postgres: Postgres, nats: Nats, folder: Path) -> Iterator[None]:
    port = free_port()
    environment = {
        "PULSE_ENV": "development",
        "LOG_LEVEL": "ERROR",
        "HTTP_PORT": str(port),
        "DATABASE_URL": postgres.url("svc_cert_worker"),
        "NATS_URL": nats.url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "CA_DIRECTORY": str(folder / "ca"),
        "CA_KEY_PASSPHRASE": "a-passphrase-of-at-least-32-characters",
        "CRL_BASE_URL": BASE_URL,
    }
    ceremony = [sys.executable, "-m", "cert_worker.command", "development", str(folder / "root")]
    subprocess.run(ceremony, env=environment, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 -- our own
    service = subprocess.Popen([sys.executable, "-m", "cert_worker"], env=environment)
    try:
        wait_for_port(port, 30)
        yield
    finally:
        service.terminate()
        service.wait(30)


async def measure(nats: Nats, requests: list[events.SignRequest]) -> float:
    bus = await Bus.connect(url=nats.url, user="test", password=PASSWORD, service="benchmark")
    await issue(bus, requests[:WARM_UP])
    begun = time.perf_counter()
    await issue(bus, requests[WARM_UP:])
    taken = time.perf_counter() - begun
    await bus.close()
    return CERTIFICATES / taken


async def issue(bus: Bus, requests: list[events.SignRequest]) -> None:
    waiting = iter(requests)

    async def ask() -> None:
        for request in waiting:
            await bus.call(request, events.SignReply, seconds=30)

    await asyncio.gather(*(ask() for _ in range(AT_ONCE)))


def bare_rate(requests: list[events.SignRequest]) -> float:
    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    root = signer.sign_certificate(
        profile.root_certificate(UUID(int=1), signer.public_key, now=system_clock())
    )
    issuer = Issuer(issuer_id=UUID(int=1), kind="issuing", certificate=root)
    rules = profile.DeviceProfile(base_url=BASE_URL, lifetime=timedelta(days=90))
    wanted = requests[:1500]
    begun = time.perf_counter()
    for request in wanted:
        key = read_csr(request.csr_pem)
        name = profile.DeviceName(request.tenant_id, request.device_id)
        builder = profile.device_certificate(
            name, key, issuer=issuer, profile=rules, now=system_clock()
        )
        signer.sign_certificate(builder).public_bytes(Encoding.PEM)
    return len(wanted) / (time.perf_counter() - begun)


def sign_only_rate(requests: list[events.SignRequest]) -> float:
    signer = FileSigner(ec.generate_private_key(ec.SECP256R1()))
    root = signer.sign_certificate(
        profile.root_certificate(UUID(int=1), signer.public_key, now=system_clock())
    )
    issuer = Issuer(issuer_id=UUID(int=1), kind="issuing", certificate=root)
    rules = profile.DeviceProfile(base_url=BASE_URL, lifetime=timedelta(days=90))
    keys = [(request, read_csr(request.csr_pem)) for request in requests[:1500]]
    begun = time.perf_counter()
    for request, key in keys:
        name = profile.DeviceName(request.tenant_id, request.device_id)
        builder = profile.device_certificate(
            name, key, issuer=issuer, profile=rules, now=system_clock()
        )
        signer.sign_certificate(builder)
    return len(keys) / (time.perf_counter() - begun)


def rows_kept(postgres: Postgres) -> tuple[int, ...]:
    with psycopg.connect(postgres.superuser, autocommit=True) as rows:
        found = rows.execute(
            """
            SELECT (SELECT count(*) FROM certificates),
                   (SELECT count(*) FROM audit_log WHERE action = 'certificate.issue'),
                   (SELECT count(*) FROM outbox WHERE subject = 'pulse.events.device.enrolled')
            """
        ).fetchone()
    assert found is not None
    return tuple(int(count) for count in found)


if __name__ == "__main__":
    sys.exit(main())
