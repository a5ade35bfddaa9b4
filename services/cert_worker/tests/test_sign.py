"""A certificate is issued together with its audit row and its event, or not at all."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.verification import PolicyBuilder, Store
from services.cert_worker.tests.conftest import (
    HeldClock,
    make_csr,
    revoke_request,
    sign_request,
)

from cert_worker.csr import CsrRefused
from pulse_common.errors import AppError, Conflict, NotFound

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, Service

pytestmark = pytest.mark.anyio

CERTIFICATES = "SELECT count(*) FROM certificates"
DENIALS = "SELECT tenant_id, object_id, reason FROM audit_log WHERE outcome = 'denied'"


async def test_reply_carries_a_certificate_that_verifies(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    key = ec.generate_private_key(ec.SECP256R1())

    reply = await service.signing.sign(sign_request(tenant_id, device_id, make_csr(key)))

    certificate = x509.load_pem_x509_certificate(reply.certificate_pem.encode())
    issuing, root = x509.load_pem_x509_certificates(reply.chain_pem.encode())
    verifier = PolicyBuilder().store(Store([root])).time(clock()).build_client_verifier()
    assert verifier.verify(certificate, [issuing]).subjects == [
        x509.UniformResourceIdentifier(f"urn:pulse:tenant:{tenant_id}:device:{device_id}")
    ]
    assert certificate.public_key() == key.public_key()
    assert reply.serial_number == f"{certificate.serial_number:x}"
    assert reply.not_before == certificate.not_valid_before_utc
    assert reply.not_after == certificate.not_valid_after_utc


async def test_certificate_audit_and_event_are_written_together(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()

    reply = await service.signing.sign(sign_request(tenant_id, device_id))

    certificate = x509.load_pem_x509_certificate(reply.certificate_pem.encode())
    assert service.fetch(
        "SELECT tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256, status "
        "FROM certificates"
    ) == [
        (
            tenant_id,
            reply.certificate_id,
            device_id,
            service.authority.issuing.issuer_id,
            reply.serial_number,
            certificate.fingerprint(SHA256()),
            "valid",
        )
    ]
    assert service.fetch(
        "SELECT tenant_id, actor_id, object_id, outcome, request_id FROM audit_log WHERE action = 'certificate.issue'"
    ) == [(tenant_id, "token-1", str(reply.certificate_id), "success", "request-1")]
    assert service.fetch(
        "SELECT tenant_id, subject, payload->>'device_id', payload->>'serial_number' FROM outbox"
    ) == [(tenant_id, "pulse.events.device.enrolled", str(device_id), reply.serial_number)]


async def refuse(
    service: Service, kind: type[AppError], tenant_id: UUID, device_id: UUID, csr: str | None = None
) -> AppError:
    """Ask, expect the refusal, and check that it left nothing behind but its record."""
    before = service.fetch(CERTIFICATES), service.fetch("SELECT count(*) FROM outbox")

    with pytest.raises(kind) as refused:
        await service.signing.sign(sign_request(tenant_id, device_id, csr))

    assert (service.fetch(CERTIFICATES), service.fetch("SELECT count(*) FROM outbox")) == before
    assert service.fetch(DENIALS) == [(tenant_id, str(device_id), refused.value.message)]
    return refused.value


async def test_unknown_device_is_refused(service: Service, fresh: FreshDatabase) -> None:
    tenant_id, _ = fresh.add_device()

    await refuse(service, NotFound, tenant_id, uuid4())


async def test_device_of_another_tenant_is_refused_as_unknown(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, _ = fresh.add_device()
    _, others_device = fresh.add_device()

    refusal = await refuse(service, NotFound, tenant_id, others_device)

    assert refusal.message == "no such device"


async def test_disabled_device_is_refused(service: Service, fresh: FreshDatabase) -> None:
    tenant_id, device_id = fresh.add_device(status="disabled")

    await refuse(service, Conflict, tenant_id, device_id)


async def test_device_of_a_suspended_tenant_is_refused(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device(tenant="suspended")

    await refuse(service, Conflict, tenant_id, device_id)


async def test_bad_csr_is_refused(service: Service, fresh: FreshDatabase) -> None:
    tenant_id, device_id = fresh.add_device()

    await refuse(service, CsrRefused, tenant_id, device_id, "not a CSR")


@pytest.mark.parametrize("own_tenant", [True, False], ids=["same-tenant", "other-tenant"])
async def test_key_of_another_device_is_refused(
    service: Service, fresh: FreshDatabase, *, own_tenant: bool
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    tenant_id, device_id = fresh.add_device()
    await service.signing.sign(sign_request(tenant_id, device_id, make_csr(key)))
    second_tenant, second_device = fresh.add_device(tenant_id if own_tenant else None)

    await refuse(service, Conflict, second_tenant, second_device, make_csr(key))


async def test_device_may_use_its_key_again(service: Service, fresh: FreshDatabase) -> None:
    csr = make_csr()
    tenant_id, device_id = fresh.add_device()

    first = await service.signing.sign(sign_request(tenant_id, device_id, csr))
    second = await service.signing.sign(sign_request(tenant_id, device_id, csr))

    assert first.serial_number != second.serial_number


async def test_compromised_key_is_refused_for_its_own_device(
    service: Service, fresh: FreshDatabase
) -> None:
    csr = make_csr()
    tenant_id, device_id = fresh.add_device()
    await service.signing.sign(sign_request(tenant_id, device_id, csr))
    await service.revoking.revoke(revoke_request(tenant_id, device_id))

    await refuse(service, Conflict, tenant_id, device_id, csr)


async def test_two_devices_that_race_with_one_key_do_not_both_get_it(
    service: Service, fresh: FreshDatabase
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    devices = [fresh.add_device() for _ in range(6)]

    answers = await asyncio.gather(
        *(service.signing.sign(sign_request(*device, make_csr(key))) for device in devices),
        return_exceptions=True,
    )

    assert sum(isinstance(answer, Conflict) for answer in answers) == 5
    assert service.fetch(CERTIFICATES) == [(1,)]


async def test_certificate_is_not_issued_while_its_device_is_being_disabled(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()
    with fresh.connect() as rows, rows.transaction():
        rows.execute("UPDATE devices SET status = 'disabled' WHERE device_id = %s", [device_id])
        asked = asyncio.create_task(service.signing.sign(sign_request(tenant_id, device_id)))
        await asyncio.sleep(0.2)
        assert not asked.done()

    with pytest.raises(Conflict, match="disabled"):
        await asked
