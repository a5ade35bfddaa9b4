"""Keep the current CRL: make a new one when something was revoked and every hour, follow what other replicas make.

The list lives in the database beside its number, under the issuer's row lock, and in the memory of every replica.  So
all of them serve the same list, and the number never goes back.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from cert_worker import crl, domain, measures, profile, store
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from cert_worker.authority import Authority
    from cert_worker.crl import Crl
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Tx

log = structlog.get_logger(__name__)

FOLLOW_SECONDS = 2.0
RETRY_SECONDS = 1.0


class CrlPublisher:
    """Call ``publish`` once before serving, then keep ``run`` running."""

    def __init__(
        self, *, database: Database, authority: Authority, base_url: str, clock: Clock
    ) -> None:
        self._database = database
        self._authority = authority
        self._issuer_id = authority.issuing.issuer_id
        self._url = profile.crl_url(base_url, self._issuer_id)
        self._clock = clock
        self._wanted = asyncio.Event()
        self._current: Crl | None = None

    @property
    def current(self) -> Crl:
        """The list to serve.

        Raises:
            Unavailable: there is none yet.
        """
        if self._current is None:
            raise Unavailable("the revocation list is not made yet")
        return self._current

    def request(self) -> None:
        """Ask for a new list, soon; many requests at once make one list."""
        self._wanted.set()

    async def run(self) -> None:
        """Publish and follow for ever; trouble of the database is waited out."""
        while True:
            wanted = await self._wanted_within(FOLLOW_SECONDS)
            try:
                await (self.publish() if wanted else self.follow())
            except Unavailable as error:
                log.warning("crl_waits", reason=error.message)
                if wanted:
                    self.request()
                await asyncio.sleep(RETRY_SECONDS)

    async def publish(self) -> None:
        """Make and store a new list."""
        async with self._database.service_connection("pulse_ca") as tx:
            fresh = await self._make(tx, await store.lock_crl(tx, self._issuer_id))
        self._show(fresh)

    async def follow(self) -> None:
        """Take over the newest stored list, or make one when that is an hour old."""
        async with self._database.service_connection("pulse_ca") as tx:
            head = await store.find_crl_head(tx, self._issuer_id)
            if domain.crl_is_due(head.this_update, self._clock()):
                newest = await self._make_if_still_due(tx)
            elif self._current is None or head.number > self._current.number:
                newest = crl.read(await store.load_crl(tx, self._issuer_id))
            else:
                return
        self._show(newest)

    async def check(self) -> None:
        """Readiness: raise when those who check certificates are about to be left with a stale list."""
        if domain.crl_is_alarming(self.current.next_update, self._clock()):
            raise Unavailable("the revocation list is about to expire")

    async def _wanted_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._wanted.wait(), seconds)
        except TimeoutError:
            return False
        self._wanted.clear()
        return True

    async def _make_if_still_due(self, tx: Tx) -> Crl:
        head = await store.lock_crl(
            tx, self._issuer_id
        )  # another replica may have made it while we waited
        if domain.crl_is_due(head.this_update, self._clock()):
            return await self._make(tx, head)
        return crl.read(await store.load_crl(tx, self._issuer_id))

    async def _make(self, tx: Tx, previous: domain.CrlHead) -> Crl:
        """Sign and store the list after ``previous``; the caller holds the issuer's lock."""
        revocations = await store.list_revocations(
            tx,
            self._issuer_id,
            expiring_after=domain.listed_if_expiring_after(previous.this_update),
        )
        made = await asyncio.to_thread(
            crl.build,
            self._authority.signer,
            self._authority.issuing.certificate,
            revocations,
            number=previous.number + 1,
            url=self._url,
            # A clock that was set back must not make the newer list look like the older one.
            now=max(self._clock(), previous.this_update or self._clock()),
        )
        await store.save_crl(tx, self._issuer_id, made)
        log.info("crl_made", number=made.number, entries=len(revocations))
        return made

    def _show(self, newest: Crl) -> None:
        if self._current is not None and newest.number <= self._current.number:
            return
        self._current = newest
        measures.CRL_NUMBER.set(newest.number)
        measures.CRL_NEXT_UPDATE.set(newest.next_update.timestamp())
