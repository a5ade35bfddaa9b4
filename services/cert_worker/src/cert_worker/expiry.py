"""Warn of what expires, 30, 14, 7 and 1 days before: once for each, as an event, whoever of the replicas is first.

The warning's row and its event are one transaction, and the row's key lets no second one in.  So a crash loses none,
and neither a restart nor another replica repeats one.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from cert_worker import measures, store_expiry
from cert_worker.store_expiry import Look
from pulse_common import events, outbox
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from cert_worker.authority import Authorities
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

THRESHOLDS = (1, 7, 14, 30)
EVERY_SECONDS = 600.0


class Expiry:
    def __init__(self, *, database: Database, authorities: Authorities, clock: Clock) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock

    async def run(self) -> None:
        """Look for ever; trouble of the database is waited out."""
        while True:
            try:
                await self.warn()
            except Unavailable as error:
                log.warning("expiry_warnings_wait", reason=error.message)
            await asyncio.sleep(EVERY_SECONDS)

    async def warn(self) -> int:
        """Warn of all that is due; return how many warnings went out.

        Raises:
            Unavailable: the database is away; what was told stays told, and the rest is for the next time.
        """
        now = self._clock()
        until = now + timedelta(days=max(THRESHOLDS))
        look = Look(now=now, until=until, thresholds=THRESHOLDS)
        async with self._database.service_connection("pulse_ca") as tx:
            tenants = await store_expiry.tenants_to_warn(tx, look)
            counted = await store_expiry.count_expiring(tx, look)
        for days, certificates in counted.items():
            measures.EXPIRING.labels(str(days)).set(certificates)
        for authority in self._authorities.signing_lists:
            issuing = authority.issuing
            measures.ISSUER_NOT_AFTER.labels(str(issuing.issuer_id)).set(
                issuing.certificate.not_valid_after_utc.timestamp()
            )
        total = await self._warn_of_issuers(look)
        for tenant in tenants:
            while warned := await self._warn_tenant(tenant, look):
                total += warned
        if total:
            log.info("expiries_warned", warnings=total, tenants=len(tenants))
        return total

    async def _warn_tenant(self, tenant: TenantId, look: Look) -> int:
        async with self._database.service_tenant_connection("pulse_ca", tenant) as tx:
            rows = await store_expiry.warn_of_devices(tx, look)
            await outbox.emit_all(
                tx,
                [
                    events.CertificateExpiring(
                        tenant_id=tenant,
                        at=look.now,
                        device_id=row["device_id"],
                        certificate_id=row["certificate_id"],
                        serial_number=row["serial_number"],
                        not_after=row["not_after"],
                        days=row["days"],
                    )
                    for row in rows
                ],
            )
        measures.EXPIRY_WARNINGS.labels("device").inc(len(rows))
        return len(rows)

    async def _warn_of_issuers(self, look: Look) -> int:
        platform = TenantId(PLATFORM_TENANT)
        async with self._database.service_tenant_connection("pulse_ca", platform) as tx:
            found = await store_expiry.warn_of_issuers(tx, look)
            await outbox.emit_all(
                tx,
                [
                    events.IssuerExpiring(
                        tenant_id=platform,
                        at=look.now,
                        issuer_id=one.issuer_id,
                        not_after=one.not_after,
                        days=one.days,
                    )
                    for one in found
                ],
            )
        measures.EXPIRY_WARNINGS.labels("issuer").inc(len(found))
        for one in found:
            log.warning("issuer_expires", issuer_id=str(one.issuer_id), days=one.days)
        return len(found)
