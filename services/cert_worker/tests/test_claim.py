"""Claim certificates: for a fleet to ask with, and of no use where devices connect."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError
from services.cert_worker.tests.conftest import PROFILES, HeldClock, make_csr, sign_request

from cert_worker.claim_profile import CLAIM_USE
from cert_worker.handlers.claim import ClaimSigning
from cert_worker.issuing import Issuing
from pulse_common.errors import AppError, Conflict, Malformed
from pulse_common.events_fleet import SignClaimRequest

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, Service

pytestmark = pytest.mark.anyio


def claims(service: Service, clock: HeldClock) -> ClaimSigning:
    issuing = Issuing(authorities=service.authorities, profiles=PROFILES, clock=clock)
    return ClaimSigning(database=service.database, issuing=issuing, clock=clock)


def request(tenant: UUID, csr: str | None = None, days: int = 30) -> SignClaimRequest:
    return SignClaimRequest(
        tenant_id=tenant,
        enrolment_profile_id=uuid4(),
        csr_pem=csr or make_csr(),
        days=days,
        actor_id="alice",
    )


async def test_no_server_that_verifies_clients_takes_a_claim_certificate_for_one(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant, _ = fresh.add_device()
    asked = request(tenant)

    reply = await claims(service, clock).sign(asked)

    made = x509.load_pem_x509_certificate(reply.certificate_pem.encode())
    issuing, root = x509.load_pem_x509_certificates(reply.chain_pem.encode())
    made.verify_directly_issued_by(issuing)
    verifier = PolicyBuilder().store(Store([root])).time(clock()).build_client_verifier()
    with pytest.raises(VerificationError):
        verifier.verify(made, [issuing])
    uses = made.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert uses.critical
    assert list(uses.value) == [CLAIM_USE]
    assert ExtendedKeyUsageOID.CLIENT_AUTH not in uses.value
    [common_name] = made.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    assert common_name.value == f"claim {asked.enrolment_profile_id}"
    with pytest.raises(x509.ExtensionNotFound):
        made.extensions.get_extension_for_class(x509.CRLDistributionPoints)


async def test_it_is_in_the_audit_log_and_no_device_certificate(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant, _ = fresh.add_device()

    await claims(service, clock).sign(request(tenant))

    assert service.fetch("SELECT count(*) FROM certificates") == [(0,)]
    assert service.fetch(
        "SELECT action, object_kind FROM audit_log WHERE tenant_id = %s", tenant
    ) == [("certificate.issue", "enrolment_profile")]


async def test_a_devices_key_and_a_life_without_end_are_refused(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant, device = fresh.add_device()
    key = ec.generate_private_key(ec.SECP256R1())
    await service.signing.sign(sign_request(tenant, device, make_csr(key)))

    refusals: list[tuple[SignClaimRequest, type[AppError]]] = [
        (request(tenant, make_csr(key)), Conflict),
        (request(tenant, "no csr"), Malformed),
        (request(tenant, days=0), Malformed),
        (request(tenant, days=100_000), Malformed),
    ]
    for asked, refusal in refusals:
        with pytest.raises(refusal):
            await claims(service, clock).sign(asked)
