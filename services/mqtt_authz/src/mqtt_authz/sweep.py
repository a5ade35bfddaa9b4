"""Compares what the broker has with what the database says, and puts right what differs, in both directions.

A CONNECT that was allowed just before a revocation may register after the cut was confirmed; a suspended tenant or a
revoked issuer concerns devices that no event names; a device may be made active again without one.  A sweep finds
all of these, every ``EVERY_SECONDS`` and at once when an event speaks of many devices.  Replicas may sweep at the same
time: each device is taken by one of them.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from mqtt_authz import metrics, session_store
from mqtt_authz.broker import BrokerFailed
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from mqtt_authz.broker import BrokerAdapter
    from mqtt_authz.revocation import Revocation
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

EVERY_SECONDS = 10.0


class Sweep:
    def __init__(
        self, *, database: Database, broker: BrokerAdapter, revocation: Revocation, clock: Clock
    ) -> None:
        self._database = database
        self._broker = broker
        self._revocation = revocation
        self._clock = clock
        self._wanted = asyncio.Event()

    def soon(self) -> None:
        self._wanted.set()

    async def run(self) -> None:
        """Sweep for ever; trouble of the broker or the database is waited out."""
        while True:
            self._wanted.clear()
            try:
                await self.cut_unwelcome()
                await self.lift_bans()
            except (BrokerFailed, Unavailable) as error:
                log.warning("sweep_waits", reason=str(error))
            try:
                async with asyncio.timeout(EVERY_SECONDS):
                    await self._wanted.wait()
            except TimeoutError:
                continue

    async def cut_unwelcome(self) -> int:
        """Cut every session whose device may not connect now; returns how many.

        Raises:
            BrokerFailed, Unavailable: the rest is left for the next sweep.
        """
        cut = 0
        async for sessions in self._broker.sessions():
            async with self._database.service_connection("pulse_authz") as tx:
                found = await session_store.find_unwelcome(tx, sessions, self._clock())
            for one in found:
                cut += await self._revocation.cut_unwelcome(one.tenant, one.session)
        metrics.SWEPT.labels("cut").inc(cut)
        return cut

    async def lift_bans(self) -> int:
        """Lift every ban of ours whose device may connect now; returns how many.

        Raises:
            BrokerFailed, Unavailable: the rest is left for the next sweep.
        """
        lifted = 0
        async for devices in self._broker.bans():
            async with self._database.service_connection("pulse_authz") as tx:
                found = await session_store.find_welcome(tx, devices, self._clock())
            for tenant, device in found:
                lifted += await self._revocation.readmit(tenant, device)
        metrics.SWEPT.labels("lifted").inc(lifted)
        return lifted
