"""Wiring of alerts: what judges readings, what looks for silence, and who answers ui_iot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingest_worker.alerts.deciding import Deciding
from ingest_worker.alerts.judging import Judging
from ingest_worker.alerts.known_rules import KnownRules
from ingest_worker.alerts.silence import Silence
from ingest_worker.writer import CONSUMER
from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.consume import waiting
from pulse_common.outbox import Relay

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from pulse_common.bus import Bus
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database


async def start(
    runtime: Runtime, database: Database, bus: Bus, reach_broker: Callable[[], Awaitable[None]]
) -> Judging:
    """Return what judges stored readings; ``reach_broker`` raises Unavailable while devices cannot reach us."""

    async def sees() -> bool:
        await reach_broker()
        return await waiting(bus, CONSUMER) < CONSUMER.batch

    await bus.ensure_stream(events.STREAM_EVENTS)
    rules = KnownRules(database)
    await rules.listen(bus)
    await Deciding(database=database, rules=rules, clock=system_clock).listen(bus)
    silence = Silence(database=database, clock=system_clock, sees=sees)
    runtime.spawn("outbox relay", Relay(database, bus).run())
    runtime.spawn("silence", silence.run())
    return Judging(database=database, rules=rules, clock=system_clock)
