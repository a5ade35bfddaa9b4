"""Two canary tenants that try to reach each other's rows in production, over and over, under the tenants' real role.

The catalogue is watched by rule (``pulse_common.isolation``); this tries the door itself, with the statements that a
mistake would let through.  It lives here because this service alone may both make tenants and devices and work as
``pulse_app``: the probe needs no right that the service does not have.  Every attempt is rolled back; an advisory lock
lets one replica try at a time.  A canary that does not see its own row proves nothing, so that counts as not probed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import UUID

import structlog
from prometheus_client import Counter, Gauge

from provision_api import canary_store as birds
from provision_api import store
from provision_api.canary_store import Bird
from pulse_common import audit
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)

CANARIES = (
    Bird(TenantId(UUID("ca9a5100-0000-4000-8000-00000000000a")), "Canary A (isolation probe)"),
    Bird(TenantId(UUID("ca9a5100-0000-4000-8000-00000000000b")), "Canary B (isolation probe)"),
)
BREACHES = Gauge(
    "pulse_canary_breaches", "Attempts of one canary tenant on another's rows that got through"
)
PROBES = Counter(
    "pulse_canary_probes_total",
    "Probes by canary tenants: held, breached, failed (could not be carried out)",
    ["outcome"],
)
LAST_PROBE = Gauge(
    "pulse_canary_last_probe_timestamp_seconds", "When a probe was last carried out, in Unix time"
)


class _Undo(Exception):  # noqa: N818 -- never seen outside
    """Leaves the transaction by its rolling back."""


class Canary:
    def __init__(self, database: Database, *, every_seconds: float) -> None:
        self._database = database
        self._every_seconds = every_seconds
        self._told: frozenset[str] = frozenset()

    async def run(self) -> None:
        while True:
            await self.probe()
            await asyncio.sleep(self._every_seconds)

    async def probe(self) -> None:
        """Try everything once, unless another replica is at it; the outcome is a metric, and a breach is audited."""
        try:
            async with self._database.service_connection("pulse_provision") as turn:
                if not await birds.take_turn(turn):
                    return
                found = await self._attempts()
            await self._tell(found)
        except Exception as error:  # noqa: BLE001 -- a probe that fails must be seen, and must not end the service
            PROBES.labels("failed").inc()
            log.warning("canary_not_probed", error=repr(error))
            return
        PROBES.labels("breached" if found else "held").inc()
        LAST_PROBE.set_to_current_time()

    async def _attempts(self) -> frozenset[str]:
        for bird in CANARIES:
            await self._keep(bird)
        one, other = CANARIES
        found = set()
        for mine, theirs in ((one, other), (other, one)):
            async with self._database.tenant_connection(mine.tenant) as tx:
                acts = [f"read {table}" for table in await birds.tables_seen(tx)]
            acts += [
                act
                for act in birds.ACTS
                if await self._gets_through(act, mine.tenant, theirs.tenant)
            ]
            found |= {f"{mine.name}: {act}" for act in acts}
        return frozenset(found)

    async def _keep(self, bird: Bird) -> None:
        """Have the canary there, made anew when somebody deleted it.

        Raises:
            Unavailable: it does not see itself, so what it does not see of others says nothing.
        """
        async with self._database.service_connection("pulse_provision") as tx:
            await store.create_tenant(tx, bird.tenant, bird.name)
        async with self._database.tenant_connection(bird.tenant) as tenant_tx:
            await birds.keep_device(tenant_tx, bird)
            if not await birds.sees_itself(tenant_tx):
                raise Unavailable(f"{bird.name} does not see its own device")

    async def _gets_through(self, act: str, mine: TenantId, theirs: TenantId) -> bool:
        values = {"mine": mine, "theirs": theirs, "my_device": mine, "their_device": theirs}
        touched = 0
        try:
            async with self._database.tenant_connection(mine) as tx:
                touched = await tx.attempt(birds.ACTS[act], values)
                raise _Undo  # noqa: TRY301 -- the way to roll back
        except _Undo:
            return touched > 0

    async def _tell(self, found: frozenset[str]) -> None:
        """Raise the alarm first: the audit row is written once for each new finding."""
        BREACHES.set(len(found))
        if not found:
            self._told = found
            return
        log.error("canary_breach", acts=sorted(found))
        if found == self._told:
            return
        async with self._database.service_connection("pulse_audit") as tx:
            await audit.record(
                tx,
                audit.Act(
                    actor_kind="service",
                    actor_id="provision_api",
                    action="isolation.breach",
                    object_kind="database",
                    object_id="canary",
                    outcome="success",
                    reason="one canary tenant reached another's rows",
                    details={"acts": sorted(found)},
                ),
            )
        self._told = found
