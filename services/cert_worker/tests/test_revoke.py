"""Revoking a device revokes everything it holds, once, and the whole world hears of it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from cryptography import x509
from services.cert_worker.tests.conftest import (
    HeldClock,
    revoke_request,
    shard_with,
    sign_request,
)

from pulse_common.errors import NotFound

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, Service

pytestmark = pytest.mark.anyio

REVOCATIONS = (
    "SELECT payload->>'serial_number' FROM outbox WHERE subject = 'pulse.events.cert.revoked'"
)


def listed(service: Service) -> dict[str, x509.RevokedCertificate]:
    return {
        f"{entry.serial_number:x}": entry
        for one in service.publisher.lists.values()
        for entry in x509.load_der_x509_crl(one.der)
    }


async def test_every_valid_certificate_is_revoked_with_an_event_each(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    serials = {
        (await service.signing.sign(sign_request(tenant_id, device_id))).serial_number
        for _ in range(3)
    }
    clock.move(timedelta(minutes=5))

    reply = await service.revoking.revoke(revoke_request(tenant_id, device_id))

    assert (reply.revoked, reply.revoked_at) == (3, clock())
    assert {row[0] for row in service.fetch(REVOCATIONS)} == serials
    assert service.fetch(
        "SELECT DISTINCT tenant_id, status, revoked_at, revocation_reason FROM certificates"
    ) == [(tenant_id, "revoked", clock(), "keyCompromise")]
    assert service.fetch(
        "SELECT tenant_id, actor_id, object_id, reason, request_id FROM audit_log "
        "WHERE action = 'certificate.revoke'"
    ) == [(tenant_id, "alice", str(device_id), "keyCompromise", "request-2")]


async def test_event_names_the_certificate_as_the_broker_knows_it(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()
    issued = await service.signing.sign(sign_request(tenant_id, device_id))

    await service.revoking.revoke(revoke_request(tenant_id, device_id))

    (payload,) = service.fetch(
        "SELECT payload->>'certificate_id', payload->>'device_id', payload->>'fingerprint_sha256', payload->>'reason' "
        "FROM outbox WHERE subject = 'pulse.events.cert.revoked'"
    )
    (fingerprint,) = service.fetch("SELECT encode(fingerprint_sha256, 'hex') FROM certificates")
    assert payload == (
        str(issued.certificate_id),
        str(device_id),
        fingerprint[0],
        "keyCompromise",
    )


async def test_revoking_again_changes_nothing_and_says_when_it_was(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    await service.signing.sign(sign_request(tenant_id, device_id))
    first = await service.revoking.revoke(revoke_request(tenant_id, device_id))
    clock.move(timedelta(hours=1))

    again = await service.revoking.revoke(revoke_request(tenant_id, device_id))

    assert (again.revoked, again.revoked_at) == (0, first.revoked_at)
    assert len(service.fetch(REVOCATIONS)) == 1


async def test_device_without_certificates_is_not_an_error(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    reply = await service.revoking.revoke(revoke_request(*fresh.add_device()))

    assert (reply.revoked, reply.revoked_at) == (0, clock())


async def test_unknown_device_is_refused(service: Service, fresh: FreshDatabase) -> None:
    tenant_id, _ = fresh.add_device()

    with pytest.raises(NotFound):
        await service.revoking.revoke(revoke_request(tenant_id, uuid4()))


async def test_tenant_can_not_revoke_anothers_device(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, _ = fresh.add_device()
    other_tenant, others_device = fresh.add_device()
    await service.signing.sign(sign_request(other_tenant, others_device))

    with pytest.raises(NotFound):
        await service.revoking.revoke(revoke_request(tenant_id, others_device))

    assert service.fetch("SELECT status FROM certificates") == [("valid",)]


async def test_other_devices_of_the_tenant_are_left_alone(
    service: Service, fresh: FreshDatabase
) -> None:
    tenant_id, device_id = fresh.add_device()
    _, neighbour = fresh.add_device(tenant_id)
    await service.signing.sign(sign_request(tenant_id, device_id))
    await service.signing.sign(sign_request(tenant_id, neighbour))

    await service.revoking.revoke(revoke_request(tenant_id, device_id))

    assert service.fetch("SELECT device_id FROM certificates WHERE status = 'valid'") == [
        (neighbour,)
    ]


async def test_revocation_is_on_the_next_list_and_the_number_goes_up(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant_id, device_id = fresh.add_device()
    issued = await service.signing.sign(sign_request(tenant_id, device_id))
    shard = shard_with(service.authority, issued.serial_number)
    before = service.publisher.lists[shard].number

    await service.revoking.revoke(revoke_request(tenant_id, device_id))
    await service.publisher.publish()

    entry = listed(service)[issued.serial_number]
    assert service.publisher.lists[shard].number == before + 1
    assert entry.revocation_date_utc == clock().replace(microsecond=0)
    assert entry.extensions.get_extension_for_class(x509.CRLReason).value == x509.CRLReason(
        x509.ReasonFlags.key_compromise
    )
