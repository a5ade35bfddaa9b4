"""Looks at the key of every certificate that was issued, once and every 30 days again: lists of weak keys grow.

A certificate was issued under the rules of its day, or imported; what is wrong with its key by the rules of today is
kept with it and becomes a finding.  Nothing is revoked here.  The whole fleet is gone through in batches, newest
arrivals included, so that no look costs more than one batch.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm

from cert_worker import measures, store_key_audit
from cert_worker.csr import CsrRefused, accept_key
from cert_worker.weak_keys import NO_LIST, Blocklist, refuse_weak
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from uuid import UUID

    from cert_worker.store_key_audit import Due
    from pulse_common.clock import Clock
    from pulse_common.identity import TenantId
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

BATCH = 200
"""RSA keys take up to 10 ms each; they are looked at in a thread."""
AGAIN_AFTER = timedelta(days=30)
EVERY_SECONDS = 30.0
BETWEEN_SECONDS = 0.2
LONGEST_FAULT = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyAudit:
    database: Database
    clock: Clock
    blocklist: Blocklist = NO_LIST

    async def run(self) -> None:
        """Look for ever; trouble of the database is waited out."""
        while True:
            looked = 0
            try:
                looked = await self.look()
            except Unavailable as error:
                log.warning("key_audit_waits", reason=error.message)
            await asyncio.sleep(BETWEEN_SECONDS if looked == BATCH else EVERY_SECONDS)

    async def look(self) -> int:
        """Look at one batch; return how many keys it held.

        Raises:
            Unavailable: the database is away; what was kept stays kept.
        """
        now = self.clock()
        async with self.database.service_connection("pulse_ca") as tx:
            due = await store_key_audit.find_due(tx, now - AGAIN_AFTER, BATCH)
        faults = await asyncio.to_thread(self._faults, due)
        for tenant, found in faults.items():
            async with self.database.service_tenant_connection("pulse_ca", tenant) as tx:
                await store_key_audit.keep_found(tx, found, now)
            for fault in filter(None, found.values()):
                measures.WEAK_KEYS_FOUND.inc()
                log.warning("weak_key_found", tenant_id=str(tenant), fault=fault)
        return len(due)

    def _faults(self, due: list[Due]) -> dict[TenantId, dict[UUID, str | None]]:
        found: dict[TenantId, dict[UUID, str | None]] = defaultdict(dict)
        for one in due:
            found[one.tenant][one.certificate] = fault_of(one.der, self.blocklist)
        return found


def fault_of(der: bytes, blocklist: Blocklist) -> str | None:
    """Say why a certificate's key would be refused today; None when it would not."""
    try:
        refuse_weak(accept_key(x509.load_der_x509_certificate(der).public_key()), blocklist)
    except CsrRefused as refused:
        return refused.message[:LONGEST_FAULT]
    except (ValueError, UnsupportedAlgorithm):
        return "the key cannot be read"
    return None
