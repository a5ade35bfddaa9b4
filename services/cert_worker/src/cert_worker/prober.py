"""Fetch the lists as the broker does (plain GET of the distribution point, PEM), and warn before what it sees expires.

A list can be fresh here and stale at its address: a cache, a proxy or a moved name in between.  Red only when what was
read there last is about to expire: a red replica serves nobody, so an address that can't be reached is counted, and
does not make it worse.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx2
import structlog
from cryptography import x509

from cert_worker import domain, measures, store_crl
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from datetime import datetime

    from cert_worker.domain import ShardId
    from cert_worker.publisher import CrlPublisher
    from cert_worker.store_crl import Probed
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 5.0
LARGEST_LIST = 64 * 1024 * 1024


class Prober:
    """Reads one shard after the other.  ``http`` has the broker's time-out and follows no redirects."""

    def __init__(
        self,
        *,
        database: Database,
        publisher: CrlPublisher,
        http: httpx2.AsyncClient,
        clock: Clock,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._http = http
        self._clock = clock
        self._next_updates: dict[ShardId, datetime] = {}

    async def run(self) -> None:
        while True:
            # First of all: when everything starts at once the edge comes up after us.
            await asyncio.sleep(EVERY_SECONDS)
            for shard in sorted(self._publisher.lists):
                await self.probe(shard)
                await asyncio.sleep(EVERY_SECONDS)

    async def probe(self, shard: ShardId) -> bool:
        """Read one list at its address, write down what came of it and say whether it could be used."""
        outcome: Probed = "good"
        try:
            self._next_updates[shard] = await self._read(self._publisher.url(shard))
        except (httpx2.HTTPError, OSError, TimeoutError):
            outcome = "unreachable"
        except (ValueError, x509.ExtensionNotFound):
            outcome = "unusable"
        measures.CRL_PROBES.labels(outcome).inc()
        if outcome != "good":
            log.warning("crl_probe_failed", url=self._publisher.url(shard), outcome=outcome)
        await self._note(shard, outcome)
        return outcome == "good"

    async def _note(self, shard: ShardId, outcome: Probed) -> None:
        """Write it down for whoever looks; the database being away keeps nobody from looking at the lists."""
        try:
            async with self._database.service_connection("pulse_ca") as tx:
                await store_crl.note_probe(tx, shard, outcome, self._clock())
        except Unavailable as error:
            log.warning("crl_probe_not_noted", reason=error.message)

    async def check(self) -> None:
        """Readiness: raise when a list, as it was last read at its address, is about to go stale.

        Raises:
            Unavailable: naming one.
        """
        now = self._clock()
        for shard, next_update in self._next_updates.items():
            if shard in self._publisher.lists and domain.crl_is_alarming(next_update, now):
                raise Unavailable(f"the list at {self._publisher.url(shard)} is about to expire")

    async def _read(self, url: str) -> datetime:
        answer = await self._http.get(url)
        if answer.status_code != httpx2.codes.OK or len(answer.content) > LARGEST_LIST:
            raise ValueError("no list")
        found = x509.load_pem_x509_crl(answer.content)
        scope = found.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        # What EMQX takes another list of the same issuer for, when it differs.
        if scope.full_name != [x509.UniformResourceIdentifier(url)]:
            raise ValueError("another list")
        if found.next_update_utc is None:
            raise ValueError("no end")
        return found.next_update_utc
