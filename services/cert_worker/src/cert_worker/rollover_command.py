"""``pulse-ca rollover``: let one issuing CA follow another, where cert_worker's settings are.

pulse-ca rollover show                    the issuing CAs, roll-overs, and what the next step waits for
pulse-ca rollover plan ISSUER             ISSUER, which stands by, is to follow the one that issues
pulse-ca rollover step ROLLOVER           the next step, if all that it waits for holds
pulse-ca rollover back ROLLOVER           take the last step back; a plan is cancelled
pulse-ca rollover activate ISSUER         where nobody issues, since the one that did was revoked
"""

from __future__ import annotations

import asyncio
import getpass
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal
from uuid import UUID

import httpx2
import structlog

from cert_worker.authority import open_authorities
from cert_worker.rolling import make_rolling
from cert_worker.settings import Settings
from cert_worker.signers import Place
from pulse_common import events_rollover as wire
from pulse_common import isolation, settings
from pulse_common.errors import NotFound
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    import argparse
    from collections.abc import Awaitable, Callable

    from cert_worker.rolling import Rolling

HTTP_SECONDS = 5.0


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    rollover = commands.add_parser("rollover", description=__doc__)
    steps = rollover.add_subparsers(required=True)
    steps.add_parser("show").set_defaults(run=_run(_show))
    plan = steps.add_parser("plan")
    plan.add_argument("issuer", type=UUID)
    plan.add_argument("--least-share", type=float, default=0.95)
    plan.add_argument("--drain-days", type=int, default=30)
    plan.set_defaults(run=_run(_plan))
    forward = steps.add_parser("step")
    forward.add_argument("rollover", type=UUID)
    forward.add_argument("--broker-seen-to", action="store_true")
    forward.set_defaults(run=_run(_step), direction="forward")
    back = steps.add_parser("back")
    back.add_argument("rollover", type=UUID)
    back.set_defaults(run=_run(_step), direction="back", broker_seen_to=False)
    activate = steps.add_parser("activate")
    activate.add_argument("issuer", type=UUID)
    activate.set_defaults(run=_run(_activate))


def _run(
    act: Callable[[Rolling, argparse.Namespace], Awaitable[str]],
) -> Callable[[argparse.Namespace], str]:
    async def with_parts(given: argparse.Namespace) -> str:
        # What is told goes to stdout, alone.
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
        ours = settings.load(Settings)
        async with AsyncExitStack() as stack:
            database = Database(
                ours.database_url.get_secret_value(), name="pulse-ca", max_connections=2
            )
            await database.open()
            stack.push_async_callback(database.close)
            await isolation.require(database)
            # Records what was installed since, so that a standby need not wait for a restart of the service.
            authorities = await open_authorities(database, Place.of(ours))
            http = await stack.enter_async_context(httpx2.AsyncClient(timeout=HTTP_SECONDS))
            return await act(make_rolling(ours, database, authorities, http), given)

    return lambda given: asyncio.run(with_parts(given))


async def _show(rolling: Rolling, _: argparse.Namespace) -> str:
    found = await rolling.sight.overview(wire.RolloversRequest())
    issuers = [
        f"issuer {one.issuer_id}  {one.profile}  {one.status}  until {one.not_after:%Y-%m-%d}"
        for one in found.issuers
    ]
    return "\n".join((*issuers, *(_told(one) for one in found.rollovers)))


async def _plan(rolling: Rolling, given: argparse.Namespace) -> str:
    request = wire.PlanRolloverRequest(
        new_issuer_id=given.issuer,
        least_share=given.least_share,
        drain_days=given.drain_days,
        actor_id=_whose(),
        actor_kind="service",
    )
    return _told(await rolling.rollovers.plan(request))


async def _step(rolling: Rolling, given: argparse.Namespace) -> str:
    found = await rolling.sight.overview(wire.RolloversRequest())
    before = next((one for one in found.rollovers if one.rollover_id == given.rollover), None)
    if before is None:
        raise NotFound("no such roll-over")
    direction: Literal["forward", "back"] = given.direction
    request = wire.StepRolloverRequest(
        rollover_id=given.rollover,
        from_state=before.state,
        direction=direction,
        broker_seen_to=given.broker_seen_to,
        actor_id=_whose(),
        actor_kind="service",
    )
    return _told(await rolling.rollovers.step(request))


async def _activate(rolling: Rolling, given: argparse.Namespace) -> str:
    request = wire.ActivateIssuerRequest(
        issuer_id=given.issuer, actor_id=_whose(), actor_kind="service"
    )
    done = await rolling.activating.activate(request)
    return f"issuer {done.issuer.issuer_id} issues for {done.issuer.profile}"


def _whose() -> str:
    return f"pulse-ca ({getpass.getuser()})"


def _told(one: wire.RolloverSeen) -> str:
    lines = [
        f"rollover {one.rollover_id}  {one.profile}  {one.state}",
        f"  from {one.old_issuer_id} ({one.left} certificates count) to {one.new_issuer_id}",
        f"  of {one.devices} devices {one.trusting} trust the new one, {one.holding} hold of it",
    ]
    if one.next_state:
        lines.append(f"  next: {one.next_state}")
    lines += [
        f"    [{'x' if wait.met else ' '}] {wait.name}: {wait.found}" for wait in one.conditions
    ]
    return "\n".join(lines)
