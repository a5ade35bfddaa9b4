"""Wiring of roll-overs, the same for the service and for ``pulse-ca``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cert_worker.handlers.activate import Activating
from cert_worker.handlers.rollover import Rollovers
from cert_worker.handlers.trust import Trusting
from cert_worker.profiles import profiles_of
from cert_worker.proofs import BrokerAddress, WorldProofs
from cert_worker.rollover_watch import RolloverWatch
from cert_worker.sight import Sight
from pulse_common import events_rollover as wire
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    import httpx2

    from cert_worker.authority import Authorities
    from cert_worker.settings import Settings
    from pulse_common.bus import Bus
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database


@dataclass(frozen=True, slots=True, kw_only=True)
class Rolling:
    sight: Sight
    rollovers: Rollovers
    activating: Activating


def make_rolling(
    settings: Settings, database: Database, authorities: Authorities, http: httpx2.AsyncClient
) -> Rolling:
    broker = None
    if settings.broker_probe_host and settings.broker_probe_ca_file:
        broker = BrokerAddress(
            settings.broker_probe_host, settings.broker_probe_port, settings.broker_probe_ca_file
        )
    sight = Sight(
        database=database,
        authorities=authorities,
        profiles=profiles_of(settings),
        proofs=WorldProofs(
            http=http, base_url=settings.crl_base_url, clock=system_clock, broker=broker
        ),
        clock=system_clock,
    )
    return Rolling(
        sight=sight,
        rollovers=Rollovers(
            database=database, authorities=authorities, sight=sight, clock=system_clock
        ),
        activating=Activating(database=database, authorities=authorities, clock=system_clock),
    )


async def answer_rollovers(
    rolling: Rolling, runtime: Runtime, bus: Bus, database: Database, authorities: Authorities
) -> None:
    """Answer operators and devices, and keep the gauges."""
    await bus.answer(wire.RolloversRequest, rolling.sight.overview)
    await bus.answer(wire.PlanRolloverRequest, rolling.rollovers.plan)
    await bus.answer(wire.StepRolloverRequest, rolling.rollovers.step)
    await bus.answer(wire.ActivateIssuerRequest, rolling.activating.activate)
    trusting = Trusting(database=database, authorities=authorities, clock=system_clock)
    await bus.answer(wire.TrustRequest, trusting.trust)
    watch = RolloverWatch(database=database, authorities=authorities, clock=system_clock)
    runtime.spawn("rollovers", watch.run())
