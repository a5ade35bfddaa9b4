"""Warn of what expires, 30, 14, 7 and 1 days before: once for each, as an event, whoever of the replicas is first.

The warning's row, its event and the notice that is mailed are one transaction, and the row's key lets no second one in.
So a crash loses none, and neither a restart nor another replica repeats one.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from cert_worker import expiry_words, measures, store_expiry
from cert_worker.expiry_platform import PlatformExpiry
from cert_worker.expiry_words import THRESHOLDS
from cert_worker.store_expiry import Look
from pulse_common import events, outbox
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cert_worker.authority import Authorities
    from cert_worker.servers import Server
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.notices import NoticeRaised
    from pulse_common.tenancy import Database, Row

log = structlog.get_logger(__name__)

EVERY_SECONDS = 600.0


class Expiry:
    """``servers`` are those whose certificates are watched too."""

    def __init__(
        self,
        *,
        database: Database,
        authorities: Authorities,
        clock: Clock,
        servers: Sequence[Server] = (),
    ) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock
        self._platform = PlatformExpiry(database=database, servers=servers)

    async def run(self) -> None:
        """Look for ever; trouble of the database is waited out."""
        while True:
            try:
                await self.warn()
                await self._platform.warn_of_what_is_served(self._clock())
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
        total = await self._platform.warn_of_issuers(look)
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
            await outbox.emit_all(tx, _notices(tenant, look, rows))
        measures.EXPIRY_WARNINGS.labels("device").inc(len(rows))
        return len(rows)


def _notices(tenant: TenantId, look: Look, rows: Sequence[Row]) -> list[NoticeRaised]:
    """Make one notice of what came under one threshold together: a fleet that expires is one piece of news."""
    found = []
    for days in THRESHOLDS:
        devices = [
            (row["certificate_id"], row["name"], row["not_after"])
            for row in rows
            if row["days"] == days
        ]
        if devices:
            found.append(expiry_words.of_devices(tenant, look.now, days, devices))
    return found
