"""The keys of the whole fleet are looked at, batch by batch, each once in 30 days; what is wrong stays with them."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from services.cert_worker.tests.conftest import HeldClock, revoke_request, sign_request

from cert_worker import key_audit
from cert_worker.key_audit import AGAIN_AFTER, KeyAudit, fault_of
from cert_worker.weak_keys import NO_LIST

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, Service

pytestmark = pytest.mark.anyio
SIGNER = ec.generate_private_key(ec.SECP256R1())
WEAK = rsa.generate_private_key(65537, 1024)  # noqa: S505 -- what is to be found


def certificate(key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, clock: HeldClock) -> bytes:
    name = x509.Name([])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(clock())
        .not_valid_after(clock() + timedelta(days=1))
    )
    return builder.sign(SIGNER, SHA256()).public_bytes(Encoding.DER)


def weaken(service: Service, fresh: FreshDatabase, device: UUID, der: bytes) -> None:
    """Put another certificate in the place of the one that was issued, as an import of old ones would."""
    with fresh.connect() as rows:
        rows.execute(
            "UPDATE certificates SET certificate_der = %s, fingerprint_sha256 = %s WHERE device_id = %s",
            [der, hashlib.sha256(der).digest(), device],
        )


def faults(service: Service) -> dict[UUID, str | None]:
    rows = service.fetch(
        "SELECT device_id, key_fault FROM certificates WHERE key_checked_at IS NOT NULL"
    )
    return {row[0]: row[1] for row in rows}  # type: ignore[misc]  # rows of objects


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        (SIGNER.public_key(), None),
        (rsa.generate_private_key(65537, 2048).public_key(), None),
        (WEAK.public_key(), "an RSA key of 1024 bits is not accepted; use 2048 to 4096"),
        (
            ec.generate_private_key(ec.SECP224R1()).public_key(),
            "curve secp224r1 is not accepted; use P-256 or P-384",
        ),
    ],
    ids=["P-256", "RSA 2048", "RSA 1024", "P-224"],
)
async def test_key_is_judged_by_the_rules_of_today(
    clock: HeldClock, key: rsa.RSAPublicKey | ec.EllipticCurvePublicKey, fault: str | None
) -> None:
    assert fault_of(certificate(key, clock), NO_LIST) == fault


async def test_bytes_that_are_no_certificate_are_a_fault() -> None:
    assert fault_of(b"0", NO_LIST) == "the key cannot be read"


async def test_whole_fleet_is_looked_at_in_batches_and_nobody_twice(
    service: Service, fresh: FreshDatabase, clock: HeldClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(key_audit, "BATCH", 2)
    devices = [fresh.add_device() for _ in range(5)]
    for one in devices:
        await service.signing.sign(sign_request(*one))
    weak = devices[0][1]  # the oldest: beyond any number of newest ones
    weaken(service, fresh, weak, certificate(WEAK.public_key(), clock))
    audit = KeyAudit(database=service.database, clock=clock)

    looked = [await audit.look() for _ in range(4)]

    assert looked == [2, 2, 1, 0]
    found = faults(service)
    assert len(found) == 5
    assert {device for device, fault in found.items() if fault} == {weak}


async def test_key_is_looked_at_again_as_lists_grow_and_a_revoked_one_is_not(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    kept, gone = fresh.add_device(), fresh.add_device()
    for one in (kept, gone):
        await service.signing.sign(sign_request(*one))
    audit = KeyAudit(database=service.database, clock=clock)
    await audit.look()
    await service.revoking.revoke(revoke_request(*gone))
    clock.move(AGAIN_AFTER + timedelta(seconds=1))

    assert await audit.look() == 1
    assert await audit.look() == 0


async def test_nothing_is_revoked_by_it(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    device = fresh.add_device()
    await service.signing.sign(sign_request(*device))
    weaken(service, fresh, device[1], certificate(WEAK.public_key(), clock))

    await KeyAudit(database=service.database, clock=clock).look()

    assert service.fetch("SELECT status FROM certificates WHERE device_id = %s", device[1]) == [
        ("valid",)
    ]
    assert uuid4() not in faults(service)
