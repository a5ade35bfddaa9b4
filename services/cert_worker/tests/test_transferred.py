"""What a device had at a tenant that gave it away is revoked, with the reason that says so."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.cert_worker.tests.conftest import sign_request
from services.cert_worker.tests.test_renew import Told

from cert_worker.handlers.transferred import Transferred
from pulse_common.events_transfer import DeviceTransferred
from pulse_common.messaging import Done, Never

if TYPE_CHECKING:
    from services.cert_worker.tests.conftest import FreshDatabase, HeldClock, Service

pytestmark = pytest.mark.anyio


async def test_certificates_of_a_device_that_went_away_are_revoked(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant, device = fresh.add_device()
    await service.signing.sign(sign_request(tenant, device))
    service.rows.execute("UPDATE devices SET status = 'disabled' WHERE device_id = %s", [device])
    told = _told(tenant, device, clock)

    for _ in range(2):
        assert await Transferred(service.revoking).handle(told) == Done()

    assert service.fetch("SELECT status, revocation_reason FROM certificates") == [
        ("revoked", "affiliationChanged")
    ]
    assert service.fetch(
        "SELECT count(*) FROM outbox WHERE subject = 'pulse.events.cert.revoked' AND tenant_id = %s",
        tenant,
    ) == [(1,)]
    assert service.fetch(
        "SELECT actor_kind, reason FROM audit_log WHERE action = 'certificate.revoke' AND tenant_id = %s LIMIT 1",
        tenant,
    ) == [("service", "affiliationChanged")]


async def test_what_is_not_known_here_holds_nothing_up(service: Service, clock: HeldClock) -> None:
    transferred = Transferred(service.revoking)

    assert await transferred.handle(_told(uuid4(), uuid4(), clock)) == Done()
    assert isinstance(await transferred.handle(Told(b"{}")), Never)


def _told(tenant: UUID, device: UUID, clock: HeldClock) -> Told:
    event = DeviceTransferred(tenant_id=tenant, at=clock(), device_id=device)
    return Told(event.to_bytes(), DeviceTransferred.subject)
