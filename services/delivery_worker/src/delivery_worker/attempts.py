"""One attempt at one delivery: sign, call, and write down what came of it; one log line each."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog

from delivery_worker import dead_store, store, troubles
from delivery_worker.calls import Attempt
from delivery_worker.domain import DISABLED_AFTER, TOLD_AFTER, retry_after
from delivery_worker.signing import SecretLostError, sign
from pulse_common import audit
from pulse_common.delivery_events import RouteTroubled
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import new_id
from pulse_common.messaging import Done, Later

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from delivery_worker.calls import Caller
    from delivery_worker.domain import Route
    from delivery_worker.signing import Safe
    from pulse_common.clock import Clock
    from pulse_common.delivery_events import Delivery
    from pulse_common.tenancy import Database, TenantTx

    Outcome = Done | Later
    Then = Callable[[TenantTx, Outcome], Awaitable[None]]

log = structlog.get_logger(__name__)

AWAY_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """Attempt ``number`` at a delivery, and what came of it."""

    delivery: Delivery
    number: int
    at: datetime
    made: Attempt


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    db: Database
    caller: Caller
    safe: Safe
    clock: Clock

    async def send(self, route: Route, delivery: Delivery, number: int) -> Tried:
        """Call the route's endpoint with a signed body; one log line."""
        at = self.clock()
        try:
            secrets = self._secrets(route, at)
        except SecretLostError:
            made = Attempt(stage="before", latency_ms=0, error="the route needs another secret")
        else:
            body = delivery.body.encode()
            headers = sign(delivery.delivery_id, at, body, secrets)
            made = await self.caller.post(route.url, headers, body, seconds=route.timeout_seconds)
        log.info(
            "delivery_attempted",
            tenant_id=str(delivery.tenant_id),
            route_id=str(delivery.route_id),
            delivery_id=delivery.delivery_id,
            event_type=delivery.event_type,
            attempt=number,
            stage=made.stage,
            delivered=made.delivered,
            status=made.status,
            latency_ms=made.latency_ms,
            error=made.error,
        )
        return Tried(delivery=delivery, number=number, at=at, made=made)

    async def settle(self, route: Route, tried: Tried, then: Then | None = None) -> Outcome:
        """Write an attempt down and say what becomes of its message; ``then`` runs in the same transaction.

        The endpoint is not called again because our database is away: this is tried until it is back.
        """
        made = tried.made
        wait = None
        if not made.delivered:
            wait = retry_after(tried.number, random.uniform, made.asked_to_wait)
        outcome = Done() if wait is None else Later(wait, made.error or "")
        while True:
            try:
                async with self.db.tenant_connection(TenantId(route.tenant_id)) as tx:
                    await self._write(tx, route, tried, buried=wait is None)
                    if then is not None:
                        await then(tx, outcome)
            except Unavailable as error:
                log.warning("attempt_not_written_yet", reason=error.message)
                await asyncio.sleep(AWAY_SECONDS)
            else:
                return outcome

    async def keep(self, tx: TenantTx, tried: Tried) -> None:
        await store.keep_attempt(tx, tried.delivery, new_id(), tried.number, tried.at, tried.made)

    async def _write(self, tx: TenantTx, route: Route, tried: Tried, *, buried: bool) -> None:
        await self.keep(tx, tried)
        if tried.made.delivered:
            if route.failing_since is not None:
                await store.note_working(tx, route.route_id)
            return
        await self._failed(tx, route, tried.at, tried.made)
        if buried:
            reason = tried.made.error or ""
            await dead_store.bury(tx, tried.delivery, tried.number, tried.at, reason)

    async def _failed(self, tx: TenantTx, route: Route, at: datetime, made: Attempt) -> None:
        """Remember since when it fails; tell the tenant after a day, give up after three or when told to."""
        since = route.failing_since or at
        if route.failing_since is None:
            await store.note_failing(tx, route.route_id, at)
        if made.is_gone:
            if await store.disable(tx, route.route_id, at):
                await self._tell(tx, route, at, since, "gone")
        elif at - since >= DISABLED_AFTER and await store.disable(tx, route.route_id, at):
            await self._tell(tx, route, at, since, "disabled")
        elif at - since >= TOLD_AFTER and await store.note_told(tx, route.route_id, at):
            await self._tell(tx, route, at, since, "failing")

    async def _tell(
        self,
        tx: TenantTx,
        route: Route,
        at: datetime,
        since: datetime,
        kind: Literal["failing", "disabled", "gone"],
    ) -> None:
        log.warning("route_troubled", route_id=str(route.route_id), kind=kind)
        troubled = RouteTroubled(
            tenant_id=route.tenant_id,
            at=at,
            route_id=route.route_id,
            name=route.name,
            kind=kind,
            since=since,
        )
        await troubles.tell(tx, troubled)
        if kind == "failing":
            return
        why = f"nothing was delivered since {since:%Y-%m-%d %H:%M} UTC"
        act = audit.Act(
            actor_kind="service",
            actor_id="delivery_worker",
            action="route.change",
            object_kind="route",
            object_id=str(route.route_id),
            reason="the endpoint answered 410 Gone" if kind == "gone" else why,
            after={"status": "disabled"},
        )
        await audit.record(tx, act)

    def _secrets(self, route: Route, at: datetime) -> list[str]:
        found = [self.safe.open(route.secret_sealed, route.tenant_id, route.route_id)]
        until = route.previous_secret_until
        if route.previous_secret_sealed is not None and until is not None and at < until:
            found.append(
                self.safe.open(route.previous_secret_sealed, route.tenant_id, route.route_id)
            )
        return found
