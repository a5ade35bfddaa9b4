"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mqtt_authz import store, tenant_cuts, token_store
from mqtt_authz.broker import EmqxAdapter
from mqtt_authz.conflicts import Conflicts
from mqtt_authz.denials import Denials
from mqtt_authz.dry_run import DryRun
from mqtt_authz.first_use import FirstUses
from mqtt_authz.handlers import Gate
from mqtt_authz.hearing import Hearing
from mqtt_authz.revocation import SUBJECTS, Revocation
from mqtt_authz.routes import endpoints
from mqtt_authz.secrets import SharedSecret
from mqtt_authz.standings import Standings
from mqtt_authz.sweep import Sweep
from mqtt_authz.token_door import TokenDoor
from pulse_common import events, parts
from pulse_common.bus import Bus
from pulse_common.clock import system_clock
from pulse_common.consume import Consumer, consume
from pulse_common.http import build_app
from pulse_common.outbox import Relay
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.applications import Starlette

    from mqtt_authz.broker import BrokerAdapter
    from mqtt_authz.domain import Standing
    from mqtt_authz.settings import Settings
    from mqtt_authz.tokens import TokenStanding
    from pulse_common.health import Readiness
    from pulse_common.runtime import Runtime

NAME = "mqtt_authz"
LANES = 4
"""Cuts at the same time in one replica, so that one that the broker is slow with does not hold up the rest."""

CONSUMER = Consumer(
    stream=events.STREAM_EVENTS,
    name=NAME,
    subjects=SUBJECTS,
    # Shorter than the slowest cut on purpose: when an answer of ours was lost the event must come back soon, and one
    # that comes back too soon finds the device taken (see revocation.py).
    ack_wait_seconds=5.0,
)


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = Database(settings.database_url.get_secret_value(), name=NAME)
    await database.open()
    runtime.stack.push_async_callback(database.close)
    await parts.watch_isolation(runtime, database, NAME)
    bus = await _connect_bus(settings, runtime)
    broker = EmqxAdapter.to(
        settings.emqx_api_url, settings.emqx_api_key, settings.emqx_api_secret.get_secret_value()
    )
    runtime.stack.push_async_callback(broker.close)

    revocation = _spawn_cuts(runtime, database, bus, broker)
    runtime.spawn("outbox", Relay(database, bus).run())

    hearing = Hearing(bus)

    async def load(fingerprints: Sequence[bytes]) -> dict[bytes, Standing]:
        async with database.service_connection("pulse_authz") as tx:
            return await store.find_standings(tx, fingerprints)

    async def find_token(digest: bytes) -> TokenStanding | None:
        async with database.service_connection("pulse_authz") as tx:
            return await token_store.find_standing(tx, digest)

    standings = Standings(load=load, hearing=hearing.stretch)
    sweep = Sweep(database=database, broker=broker, revocation=revocation, clock=system_clock)
    dry_run = DryRun(database=database, clock=system_clock)
    await bus.answer(events.DryRunRequest, dry_run.answer)
    # Ends when the server has answered, so that nobody calls this replica ready before its subscriptions are known.
    await hearing.listen(standings, sweep.soon)
    runtime.spawn("sweep", sweep.run())
    runtime.spawn("hearing", hearing.run())
    denials = Denials(database=database, clock=system_clock)
    runtime.spawn("denials", denials.run())
    first_uses = FirstUses(database=database, clock=system_clock)
    runtime.spawn("first uses", first_uses.run())
    conflicts = Conflicts(database=database, clock=system_clock)
    runtime.spawn("conflicts", conflicts.run())

    # The message bus is no condition: a gate without it still answers, and taking it away would lock devices out.
    runtime.readiness.add("events and dry runs", partial(_tell_hearing, hearing, runtime.readiness))
    gate = Gate(
        standings=standings,
        token_door=TokenDoor(find=find_token, denials=denials, clock=system_clock),
        denials=denials,
        admin_password=settings.mqtt_admin_password.get_secret_value().encode(),
        clock=system_clock,
        on_first_use=first_uses.note,
        on_admitted=conflicts.note,
    )
    secret = SharedSecret.from_settings(settings)
    return build_app(endpoints(gate, runtime.readiness), secret.authenticate)


def _spawn_cuts(
    runtime: Runtime, database: Database, bus: Bus, broker: BrokerAdapter
) -> Revocation:
    revocation = Revocation(database=database, broker=broker, clock=system_clock)
    for lane in range(LANES):
        runtime.spawn(f"revocation-{lane}", consume(bus, CONSUMER, revocation.handle))
    tenants = tenant_cuts.TenantCuts(database=database, broker=broker, clock=system_clock)
    runtime.spawn("tenant cuts", consume(bus, tenant_cuts.CONSUMER, tenants.handle))
    return revocation


async def _tell_hearing(hearing: Hearing, readiness: Readiness) -> None:
    heard = hearing.stretch() is not None
    readiness.note(
        "events and dry runs", "heard and answered" if heard else "waiting: NATS is away"
    )


async def _connect_bus(settings: Settings, runtime: Runtime) -> Bus:
    bus = await Bus.connect(
        url=settings.nats_url,
        user=settings.nats_user,
        password=settings.nats_password.get_secret_value(),
        service=NAME,
    )
    runtime.stack.push_async_callback(bus.close)
    await bus.ensure_stream(events.STREAM_EVENTS)
    await bus.ensure_stream(events.STREAM_PARKED)
    return bus
