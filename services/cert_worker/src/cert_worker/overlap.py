"""End the overlap of two certificates of a device that never uses the newer one.

The first use ends it at once, over MQTT or HTTPS (``handlers/retire.py``).  Who uses neither, or goes on with the older
one for ever, must not hold two credentials for the rest of a long lifetime.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from cert_worker import measures, store, store_revocation
from pulse_common import audit, events, outbox
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from datetime import timedelta

    from cert_worker.publisher import CrlPublisher
    from cert_worker.store_revocation import Overlapped
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlaps:
    database: Database
    publisher: CrlPublisher
    longest: timedelta
    clock: Clock

    async def run(self) -> None:
        while True:
            try:
                await self.end_long_ones()
            except Unavailable as error:
                log.warning("overlaps_wait", reason=error.message)
            await asyncio.sleep(EVERY_SECONDS)

    async def end_long_ones(self) -> int:
        """Retire what has been renewed for longer than ``longest``; return how many certificates.

        Raises:
            Unavailable: the database is away; the rest is for the next time.
        """
        total = 0
        while True:
            now = self.clock()
            async with self.database.service_connection("pulse_ca") as tx:
                found = await store_revocation.list_overlapped(
                    tx, now=now, before=now - self.longest
                )
            retired = sum([await self._end(one) for one in found])
            total += retired
            if not retired:
                break
            self.publisher.request()
        return total

    async def _end(self, found: Overlapped) -> int:
        async with self.database.service_tenant_connection("pulse_ca", found.tenant) as tx:
            if not await store.lock_device(tx, found.device_id):
                return 0
            now = self.clock()
            retired = await store_revocation.end_overlap(tx, found, now=now)
            if not retired:
                return 0
            act = audit.Act(
                actor_kind="service",
                actor_id="cert_worker",
                action="certificate.revoke",
                object_kind="device",
                object_id=str(found.device_id),
                reason="superseded",
                details={
                    "serial_numbers": [one.serial_number for one in retired],
                    "why": "the renewed certificate was never used, and the overlap is over",
                },
            )
            await audit.record(tx, act)
            await outbox.emit_all(
                tx,
                [
                    events.CertificateRevoked(
                        tenant_id=found.tenant,
                        at=now,
                        device_id=one.device_id,
                        certificate_id=one.certificate_id,
                        serial_number=one.serial_number,
                        fingerprint_sha256=one.fingerprint_sha256,
                        reason="superseded",
                        revoked_at=now,
                    )
                    for one in retired
                ],
            )
        measures.REVOKED.inc(len(retired))
        return len(retired)
