"""Retire what a renewed certificate replaces, once the broker's gate has seen the device use it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cert_worker import measures, store, store_revocation
from pulse_common import audit, events, outbox
from pulse_common.consume import Consumer
from pulse_common.identity import TenantId
from pulse_common.messaging import Done, Message, Never, Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cert_worker.domain import Changed
    from cert_worker.publisher import CrlPublisher
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

CONSUMER = Consumer(
    stream=events.STREAM_EVENTS,
    name="cert_worker_renewals",
    subjects=(events.CertificateUsed.subject,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retiring:
    database: Database
    publisher: CrlPublisher
    clock: Clock

    async def handle(self, message: Message) -> Outcome:
        try:
            event = events.CertificateUsed.model_validate_json(message.data)
            fingerprint = bytes.fromhex(event.fingerprint_sha256)
        except (ValidationError, ValueError) as error:
            return Never(f"not an event of ours: {error}"[:500])
        retired = await self._retire(event, fingerprint)
        measures.REVOKED.inc(len(retired))
        if retired:
            self.publisher.request()
        return Done()

    async def _retire(self, event: events.CertificateUsed, fingerprint: bytes) -> Sequence[Changed]:
        tenant_id = TenantId(event.tenant_id)
        async with self.database.service_tenant_connection("pulse_ca", tenant_id) as tx:
            if not await store.lock_device(tx, event.device_id):
                return ()
            now = self.clock()
            retired = await store_revocation.supersede(tx, event.device_id, fingerprint, now=now)
            if not retired:
                return ()
            await audit.record(tx, _act(event, retired))
            await outbox.emit_all(
                tx,
                [
                    events.CertificateSuperseded(
                        tenant_id=tenant_id,
                        at=now,
                        device_id=one.device_id,
                        certificate_id=one.certificate_id,
                        serial_number=one.serial_number,
                        fingerprint_sha256=one.fingerprint_sha256,
                    )
                    for one in retired
                ],
            )
        return retired


def _act(event: events.CertificateUsed, retired: Sequence[Changed]) -> audit.Act:
    return audit.Act(
        actor_kind="service",
        actor_id="cert_worker",
        action="certificate.revoke",
        object_kind="device",
        object_id=str(event.device_id),
        reason="superseded",
        details={"serial_numbers": [one.serial_number for one in retired]},
    )
