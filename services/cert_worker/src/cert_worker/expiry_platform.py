"""Warn operators of what is the platform's own: issuers, revocation lists that nobody renews, servers' certificates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import NAMESPACE_URL, uuid5

import structlog

from cert_worker import expiry_words, measures, store_expiry
from cert_worker.servers import UnreachableServer
from cert_worker.servers import look as look_at
from cert_worker.store_expiry import Noted
from pulse_common import events, outbox
from pulse_common.identity import TenantId
from pulse_common.ids import PLATFORM_TENANT

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from cert_worker.servers import Server, Shown
    from cert_worker.store_expiry import Look
    from pulse_common.tenancy import Database, TenantTx

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformExpiry:
    """``look`` reads a server's certificate; it is given, so that a test need not run servers."""

    database: Database
    servers: Sequence[Server] = ()
    look: Callable[[Server], Awaitable[Shown]] = look_at

    async def warn_of_issuers(self, look: Look) -> int:
        """Warn of issuers that are due; return how many warnings went out.

        Raises:
            Unavailable: the database is away.
        """
        async with self._transaction() as tx:
            return await self._warn_of_issuers(tx, look)

    async def warn_of_what_is_served(self, now: datetime) -> int:
        """Warn of lists and servers' certificates that are due; return how many warnings went out.

        Raises:
            Unavailable: the database is away.
        """
        shown = await self._shown()
        async with self._transaction() as tx:
            lists = await self._warn_of_lists(tx, now)
            return lists + await self._warn_of_servers(tx, now, shown)

    def _transaction(self) -> AbstractAsyncContextManager[TenantTx]:
        return self.database.service_tenant_connection("pulse_ca", TenantId(PLATFORM_TENANT))

    async def _shown(self) -> dict[str, Shown]:
        """Ask before the transaction begins: a server may take seconds not to answer."""
        found: dict[str, Shown] = {}
        for server in self.servers:
            try:
                found[server.name] = await self.look(server)
            except UnreachableServer:
                measures.SERVERS_UNREACHABLE.labels(server.name).inc()
                log.warning("server_certificate_not_read", server=server.name)
            else:
                measures.SERVER_NOT_AFTER.labels(server.name).set(
                    found[server.name].not_after.timestamp()
                )
        return found

    async def _warn_of_issuers(self, tx: TenantTx, look: Look) -> int:
        found = await store_expiry.warn_of_issuers(tx, look)
        for one in found:
            event = events.IssuerExpiring(
                tenant_id=tx.tenant,
                at=look.now,
                issuer_id=one.issuer_id,
                not_after=one.not_after,
                days=one.days,
            )
            await outbox.emit(tx, event)
            what = f"The issuing authority {one.subject}"
            noted = Noted("issuer", one.issuer_id, one.days, one.not_after, one.subject)
            await _tell(tx, look.now, noted, what)
        return len(found)

    async def _warn_of_lists(self, tx: TenantTx, now: datetime) -> int:
        told = 0
        for one in await store_expiry.oldest_lists(tx):
            days = expiry_words.threshold_of(one.this_update, one.next_update, now)
            if days is None:
                continue
            # A list that is made anew is another one: its trouble is told of again.
            subject = uuid5(one.issuer_id, one.this_update.isoformat())
            noted = Noted("list", subject, days, one.next_update, one.subject)
            if await store_expiry.note(tx, noted, now):
                await _tell(tx, now, noted, f"A revocation list of {one.subject}")
                told += 1
        return told

    async def _warn_of_servers(self, tx: TenantTx, now: datetime, shown: dict[str, Shown]) -> int:
        told = 0
        for name, one in shown.items():
            days = expiry_words.threshold_of(one.not_before, one.not_after, now)
            if days is None:
                continue
            subject = uuid5(NAMESPACE_URL, f"{name}:{one.fingerprint}")
            noted = Noted("server", subject, days, one.not_after, name)
            if await store_expiry.note(tx, noted, now):
                await _tell(tx, now, noted, f"The certificate of the server {name}")
                told += 1
        return told


async def _tell(tx: TenantTx, now: datetime, noted: Noted, what: str) -> None:
    key = f"{noted.kind}:{noted.subject_id}"
    notice = expiry_words.of_platform(
        tx.tenant, now, key=key, what=what, days=noted.days, ends=noted.not_after
    )
    await outbox.emit(tx, notice)
    measures.EXPIRY_WARNINGS.labels(noted.kind).inc()
    log.warning("platform_expires", kind=noted.kind, what=what, days=noted.days)
