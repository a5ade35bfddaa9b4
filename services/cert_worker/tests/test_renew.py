"""A device gets its next certificate beside the present one, once for each key; the old one retires on first use."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from services.cert_worker.tests.conftest import (
    PROFILES,
    listed,
    make_csr,
    revoke_request,
    shard_with,
    sign_request,
)

from cert_worker.handlers.renew import MOST_A_DAY, Renewing
from cert_worker.handlers.retire import Retiring
from cert_worker.issuing import Issuing
from cert_worker.overlap import Overlaps
from pulse_common.errors import Conflict, NotFound, TooMany
from pulse_common.events import CertificateUsed, RenewRequest, SignReply
from pulse_common.messaging import Done

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, HeldClock, Service

pytestmark = pytest.mark.anyio

STATES = (
    "SELECT serial_number, status, superseded FROM certificates ORDER BY not_before, certificate_id"
)


@dataclass(frozen=True)
class Told:
    """A message as the stream would bring it."""

    data: bytes
    subject: str = CertificateUsed.subject
    deliveries: int = 1

    async def ack(self) -> None: ...
    async def retry(self, seconds: float) -> None: ...
    async def park(self, reason: str) -> None: ...


@pytest.fixture
def renewing(service: Service, clock: HeldClock) -> Renewing:
    issuing = Issuing(authorities=service.authorities, profiles=PROFILES, clock=clock)
    return Renewing(database=service.database, issuing=issuing, clock=clock)


@pytest.fixture
def retiring(service: Service, clock: HeldClock) -> Retiring:
    return Retiring(database=service.database, publisher=service.publisher, clock=clock)


def fingerprint_of(reply: SignReply) -> str:
    return (
        x509.load_pem_x509_certificate(reply.certificate_pem.encode()).fingerprint(SHA256()).hex()
    )


def renewal(
    tenant_id: UUID, device_id: UUID, csr: str, by: SignReply | None = None
) -> RenewRequest:
    return RenewRequest(
        tenant_id=tenant_id,
        device_id=device_id,
        csr_pem=csr,
        fingerprint=fingerprint_of(by) if by else None,
    )


async def use(retiring: Retiring, tenant_id: UUID, device_id: UUID, reply: SignReply) -> None:
    used = CertificateUsed(
        tenant_id=tenant_id,
        at=retiring.clock(),
        device_id=device_id,
        fingerprint_sha256=fingerprint_of(reply),
    )
    assert await retiring.handle(Told(used.to_bytes())) == Done()


async def test_both_certificates_count_until_the_new_one_is_used(
    service: Service, fresh: FreshDatabase, renewing: Renewing, retiring: Retiring, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    clock.move(timedelta(days=60))

    new = await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))
    overlapping = service.fetch(STATES)
    await use(retiring, tenant_id, device_id, new)

    assert overlapping == [
        (old.serial_number, "valid", False),
        (new.serial_number, "valid", False),
    ]
    assert service.fetch(STATES) == [
        (old.serial_number, "revoked", True),
        (new.serial_number, "valid", False),
    ]
    await service.publisher.follow()
    shard = shard_with(service.authority, old.serial_number)
    assert old.serial_number in listed(service.publisher, shard)
    assert service.fetch(
        "SELECT payload->>'serial_number' FROM outbox WHERE subject = 'pulse.events.cert.superseded'"
    ) == [(old.serial_number,)]


async def test_lost_answer_is_given_again(
    service: Service, fresh: FreshDatabase, renewing: Renewing
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))

    answers = await asyncio.gather(
        *(renewing.renew(renewal(tenant_id, device_id, csr, old)) for _ in range(3))
    )

    assert len({answer.serial_number for answer in answers}) == 1
    assert service.fetch("SELECT count(*) FROM certificates") == [(2,)]


async def test_same_key_may_be_renewed_once_more_after_it_was_used(
    service: Service, fresh: FreshDatabase, renewing: Renewing, retiring: Retiring, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    first = await service.signing.sign(sign_request(tenant_id, device_id, csr))

    second = await renewing.renew(renewal(tenant_id, device_id, csr, first))
    await use(retiring, tenant_id, device_id, second)
    clock.move(timedelta(days=60))
    third = await renewing.renew(renewal(tenant_id, device_id, csr, second))

    assert len({one.serial_number for one in (first, second, third)}) == 3


async def test_certificate_that_does_not_count_renews_nothing(
    service: Service, fresh: FreshDatabase, renewing: Renewing, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    other_tenant, other_device = fresh.add_device()
    theirs = await service.signing.sign(sign_request(other_tenant, other_device))

    with pytest.raises(NotFound):
        await renewing.renew(renewal(tenant_id, uuid4(), make_csr(), old))
    with pytest.raises(Conflict):
        await renewing.renew(renewal(tenant_id, device_id, make_csr(), theirs))
    clock.move(timedelta(days=90))
    with pytest.raises(Conflict):
        await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))
    clock.move(timedelta(days=-90))
    await service.revoking.revoke(revoke_request(tenant_id, device_id))
    with pytest.raises(Conflict):
        await renewing.renew(renewal(tenant_id, device_id, make_csr()))

    assert service.fetch(
        "SELECT count(*) FROM audit_log WHERE action = 'certificate.renew' AND outcome = 'denied'"
    ) == [(4,)]


async def test_key_of_another_device_is_refused(
    service: Service, fresh: FreshDatabase, renewing: Renewing
) -> None:
    tenant_id, device_id = fresh.add_device()
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    await service.signing.sign(sign_request(*fresh.add_device(), csr))

    with pytest.raises(Conflict):
        await renewing.renew(renewal(tenant_id, device_id, csr, old))


async def test_device_that_makes_keys_without_end_is_held_up(
    service: Service, fresh: FreshDatabase, renewing: Renewing
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    for _ in range(MOST_A_DAY):
        await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))

    with pytest.raises(TooMany):
        await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))


async def test_use_of_the_older_of_two_retires_nothing_newer(
    service: Service, fresh: FreshDatabase, renewing: Renewing, retiring: Retiring, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    clock.move(timedelta(days=60))
    first = await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))
    clock.move(timedelta(days=1))
    second = await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))

    await use(retiring, tenant_id, device_id, first)

    assert [state for _, state, _ in service.fetch(STATES)] == ["revoked", "valid", "valid"]
    assert service.fetch(STATES)[2][0] == second.serial_number


@pytest.fixture
def overlaps(service: Service, clock: HeldClock) -> Overlaps:
    return Overlaps(
        database=service.database,
        publisher=service.publisher,
        longest=timedelta(days=30),
        clock=clock,
    )


def stamp(service: Service, clock: HeldClock) -> None:
    """Rows are stamped by the database: give them the time that is held."""
    service.rows.execute("UPDATE certificates SET created_at = %s", [clock()])


async def test_older_certificate_ends_when_the_renewed_one_is_not_used_for_long(
    service: Service, fresh: FreshDatabase, renewing: Renewing, overlaps: Overlaps, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    new = await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))
    stamp(service, clock)
    clock.move(timedelta(days=29))
    assert await overlaps.end_long_ones() == 0
    clock.move(timedelta(days=2))

    assert await overlaps.end_long_ones() == 1

    states = {serial: status for serial, status, _ in service.fetch(STATES)}
    assert states == {old.serial_number: "revoked", new.serial_number: "valid"}
    # The gate cuts what is open: nothing says that a session of it has ended.
    assert service.fetch(
        "SELECT payload->>'serial_number' FROM outbox WHERE subject = 'pulse.events.cert.revoked'"
    ) == [(old.serial_number,)]
    assert await overlaps.end_long_ones() == 0


async def test_device_that_asks_again_may_have_lost_the_answer_and_keeps_what_it_has(
    service: Service, fresh: FreshDatabase, renewing: Renewing, overlaps: Overlaps, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    csr = make_csr(ec.generate_private_key(ec.SECP256R1()))
    await renewing.renew(renewal(tenant_id, device_id, csr, old))
    stamp(service, clock)
    clock.move(timedelta(days=29))

    await renewing.renew(renewal(tenant_id, device_id, csr, old))
    clock.move(timedelta(days=29))

    assert await overlaps.end_long_ones() == 0


async def test_only_certificate_of_a_device_never_ends_by_overlap(
    service: Service, fresh: FreshDatabase, renewing: Renewing, overlaps: Overlaps, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    old = await service.signing.sign(sign_request(tenant_id, device_id))
    clock.move(timedelta(days=60))
    await renewing.renew(renewal(tenant_id, device_id, make_csr(), old))
    stamp(service, clock)
    clock.move(timedelta(days=31))

    assert await overlaps.end_long_ones() == 0, "the older one has expired"
