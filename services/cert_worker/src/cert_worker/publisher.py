"""Keep every revocation list fresh: new after a revocation and each hour, one maker at a time, no worse than the last.

Lists live in the database beside their numbers, under the row lock of their shard, and in the memory of every replica.
So all of them serve the same lists, and no number goes back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from cert_worker import crl, domain, measures, profile, store_crl
from cert_worker.ca import CaRefused
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cert_worker.authority import Authorities, Authority
    from cert_worker.crl import Crl
    from cert_worker.domain import CrlHead, ShardId
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Tx

log = structlog.get_logger(__name__)

FOLLOW_SECONDS = 2.0
RETRY_SECONDS = 1.0
DEBOUNCE_SECONDS = 0.1
"""How long a revocation waits for others that the same list can tell of."""


class CrlPublisher:
    """Call ``follow`` once before serving, then keep ``run`` running."""

    def __init__(
        self, *, database: Database, authorities: Authorities, base_url: str, clock: Clock
    ) -> None:
        self._database = database
        self._authorities = authorities
        self._base_url = base_url
        self._clock = clock
        self._wanted = asyncio.Event()
        self._lists: dict[ShardId, Crl] = {}

    @property
    def lists(self) -> Mapping[ShardId, Crl]:
        """What is served now."""
        return self._lists

    def current(self, shard: ShardId) -> Crl | None:
        return self._lists.get(shard)

    def url(self, shard: ShardId) -> str:
        return profile.crl_url(self._base_url, shard)

    def request(self) -> None:
        """Ask for new lists, soon; many requests at once make one list of each shard."""
        self._wanted.set()

    async def run(self) -> None:
        """Publish and follow for ever; trouble of the database is waited out."""
        while True:
            await self._wanted_within(FOLLOW_SECONDS)
            try:
                await self.follow()
            except Unavailable as error:
                log.warning("crl_waits", reason=error.message)
                self.request()
                await asyncio.sleep(RETRY_SECONDS)
            except CaRefused as error:
                # An issuer that was installed with a key that is not here: the others' lists must stay fresh.
                log.warning("authorities_not_refreshed", reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)

    async def follow(self) -> None:
        """Make the lists that are due or out of date, and take over what other replicas have made."""
        await self._authorities.refresh()
        self._forget_those_gone()
        async with self._database.service_connection("pulse_ca") as tx:
            heads, pending = await store_crl.list_heads(tx), await store_crl.list_pending(tx)
        now = self._clock()
        for authority in self._authorities.signing_lists:
            for shard in authority.shards:
                head = heads[shard]
                if shard in pending or domain.crl_is_due(head.this_update, now):
                    await self._make_again(authority, shard)
                elif self._is_news(shard, head):
                    await self._take_over(shard)
        self._measure()

    async def publish(self) -> None:
        """Make every list anew."""
        await self._authorities.refresh()
        for authority in self._authorities.signing_lists:
            for shard in authority.shards:
                await self._make_again(authority, shard, even_if_fresh=True)
        self._measure()

    async def check(self) -> None:
        """Readiness: raise when those who check certificates are about to be left with a stale list."""
        served = [
            self._lists.get(shard)
            for authority in self._authorities.signing_lists
            for shard in authority.shards
        ]
        if not all(served):
            raise Unavailable("a revocation list is not made yet")
        now = self._clock()
        if any(one and domain.crl_is_alarming(one.next_update, now) for one in served):
            raise Unavailable("a revocation list is about to expire")

    async def _wanted_within(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            return
        await asyncio.sleep(DEBOUNCE_SECONDS)
        self._wanted.clear()

    def _forget_those_gone(self) -> None:
        """Stop serving lists that nobody makes any more: they would go stale, and the prober would say so for ever."""
        made = {shard for one in self._authorities.signing_lists for shard in one.shards}
        for shard in self._lists.keys() - made:
            del self._lists[shard]

    def _is_news(self, shard: ShardId, head: CrlHead) -> bool:
        served = self._lists.get(shard)
        return served is None or head.number > served.number

    async def _take_over(self, shard: ShardId) -> None:
        async with self._database.service_connection("pulse_ca") as tx:
            stored = await self._stored(tx, shard)
        self._show(shard, stored)

    async def _stored(self, tx: Tx, shard: ShardId) -> Crl:
        content = await store_crl.load_crl(tx, shard)
        assert content is not None, "a list with a number is a list with content"
        return await asyncio.to_thread(crl.read, content)

    async def _make_again(
        self, authority: Authority, shard: ShardId, *, even_if_fresh: bool = False
    ) -> None:
        try:
            async with self._database.service_connection("pulse_ca") as tx:
                head = await store_crl.lock_shard(tx, shard)
                changes = await store_crl.take_pending(tx, shard)
                # Another replica may have made it while we waited for the lock.
                due = domain.crl_is_due(head.this_update, self._clock())
                if changes or due or even_if_fresh:
                    made = await self._make(tx, authority, shard, head)
                else:
                    made = await self._stored(tx, shard)
        except crl.CrlRefused as error:
            # What is served stays as it is, until it alarms: a stale list shuts devices out, a worse one lets them in.
            measures.CRL_REFUSED.inc()
            log.exception("crl_refused", shard=shard.shard, reason=str(error))
            return
        self._show(shard, made)

    async def _make(self, tx: Tx, authority: Authority, shard: ShardId, head: CrlHead) -> Crl:
        """Sign, check and store the list after ``head``; the caller holds the shard's lock."""
        served = self._lists.get(shard)
        cutoff = domain.listed_if_expiring_after(head.this_update)
        revocations = await store_crl.list_revocations(tx, shard, expiring_after=cutoff)
        issuer = authority.issuing.certificate
        made = await asyncio.to_thread(
            crl.build,
            authority.signer,
            issuer,
            revocations,
            # A database that was restored from a backup may know an older number than the world.
            number=max(head.number, served.number if served else 0) + 1,
            url=self.url(shard),
            # A clock that was set back must not make the newer list look like the older one.
            now=max(self._clock(), head.this_update or self._clock()),
        )
        await asyncio.to_thread(crl.check, made, issuer, url=self.url(shard))
        before = {await store_crl.load_crl(tx, shard), served.der if served else None} - {None}
        listed = {revocation.serial_number for revocation in revocations}
        for content in before:
            assert content is not None
            gone = await asyncio.to_thread(crl.serials, content) - listed
            excused = await store_crl.excused(tx, shard, gone, expiring_after=cutoff)
            if refusal := domain.refusal_to_forget(gone, listed, excused):
                raise crl.CrlRefused(refusal)
        await store_crl.save_crl(tx, shard, made)
        log.debug("crl_made", shard=shard.shard, number=made.number, entries=len(revocations))
        return made

    def _show(self, shard: ShardId, newest: Crl) -> None:
        served = self._lists.get(shard)
        if served is None or newest.number > served.number:
            self._lists[shard] = newest

    def _measure(self) -> None:
        if self._lists:
            measures.CRL_NUMBER.set(max(one.number for one in self._lists.values()))
            oldest = min(one.next_update for one in self._lists.values())
            measures.CRL_NEXT_UPDATE.set(oldest.timestamp())
