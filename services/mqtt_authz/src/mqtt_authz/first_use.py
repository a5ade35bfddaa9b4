"""Tells the CA of renewed certificates that were let in for the first time, off the path of any answer.

What is told goes through the outbox, so that a crash loses at most what was noted in the last second; such a device is
noted again at its next CONNECT, and until then its older certificate merely goes on counting.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import structlog

from pulse_common import events, outbox
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from mqtt_authz.certificate import DeviceCertificate
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

MOST_PENDING = 5_000
MOST_TOLD = 10_000
FLUSH_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstUses:
    database: Database
    clock: Clock
    pending: OrderedDict[bytes, DeviceCertificate] = field(default_factory=OrderedDict)
    told: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    """What a memory of the certificate would have us tell again until it is refreshed."""

    def note(self, holder: DeviceCertificate) -> None:
        """Keep it in memory; never waits and never fails."""
        if holder.fingerprint not in self.told and len(self.pending) < MOST_PENDING:
            self.pending[holder.fingerprint] = holder

    async def run(self) -> None:
        """Tell for ever; trouble of the database is waited out."""
        while True:
            try:
                await self.flush()
            except Unavailable as error:
                log.warning("first_uses_wait", reason=error.message)
            await asyncio.sleep(FLUSH_SECONDS)

    async def flush(self) -> None:
        """Tell of everything that was noted.

        Raises:
            Unavailable: what was not told yet is kept for the next time.
        """
        for holder in list(self.pending.values()):
            event = events.CertificateUsed(
                tenant_id=holder.tenant,
                at=self.clock(),
                device_id=holder.device,
                fingerprint_sha256=holder.fingerprint.hex(),
            )
            async with self.database.service_tenant_connection("pulse_authz", holder.tenant) as tx:
                await outbox.emit(tx, event)
            del self.pending[holder.fingerprint]
            self.told[holder.fingerprint] = None
            if len(self.told) > MOST_TOLD:
                self.told.popitem(last=False)
