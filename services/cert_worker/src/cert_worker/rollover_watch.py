"""Keep the gauges of open roll-overs: which share of the fleet trusts the next authority, which holds of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from cert_worker import measures, store_rollover
from cert_worker.rollover import ORDER
from cert_worker.sight import fingerprint_of
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from cert_worker.authority import Authorities
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 60.0


class RolloverWatch:
    def __init__(self, *, database: Database, authorities: Authorities, clock: Clock) -> None:
        self._database = database
        self._authorities = authorities
        self._clock = clock

    async def run(self) -> None:
        while True:
            try:
                await self.measure()
            except Unavailable as error:
                log.warning("rollovers_not_measured", reason=error.message)
            await asyncio.sleep(EVERY_SECONDS)

    async def measure(self) -> None:
        """Count the fleets of open roll-overs; those that are over leave the metrics.

        Raises:
            Unavailable: the database is away.
        """
        async with self._database.service_connection("pulse_ca") as tx:
            found = await store_rollover.list_open(tx)
            counted = []
            for one in found:
                new = self._authorities.find(str(one.new_issuer_id))
                if new is not None:
                    fleet = await store_rollover.count_fleet(
                        tx, one, fingerprint_of(new), self._clock()
                    )
                    counted.append((one, fleet))
        measures.ROLLOVER_SHARE.clear()
        measures.ROLLOVER_STATE.clear()
        for one, fleet in counted:
            devices = max(fleet.devices, 1)
            empty = fleet.devices == 0
            for kind, some in (("trusts", fleet.trusting), ("holds", fleet.holding)):
                share = 1.0 if empty else some / devices
                measures.ROLLOVER_SHARE.labels(one.profile, kind).set(share)
            measures.ROLLOVER_STATE.labels(one.profile).set(ORDER.index(one.state))
