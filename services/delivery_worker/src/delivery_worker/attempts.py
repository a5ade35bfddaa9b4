"""One attempt at one delivery: sign, call, and write down what came of it; one log line each."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from delivery_worker import store, troubles
from delivery_worker.calls import Attempt
from delivery_worker.domain import DISABLED_AFTER, TOLD_AFTER, retry_after
from delivery_worker.signing import SecretLostError, sign
from pulse_common import audit
from pulse_common.delivery_events import RouteTroubled
from pulse_common.identity import TenantId
from pulse_common.ids import new_id
from pulse_common.messaging import Done, Later

if TYPE_CHECKING:
    from datetime import datetime

    from delivery_worker.calls import Caller
    from delivery_worker.domain import Route
    from delivery_worker.signing import Safe
    from pulse_common.clock import Clock
    from pulse_common.delivery_events import Delivery
    from pulse_common.tenancy import Database, TenantTx

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    db: Database
    caller: Caller
    safe: Safe
    clock: Clock

    async def send(self, route: Route, delivery: Delivery) -> Attempt:
        """Call the route's endpoint with a signed body."""
        at = self.clock()
        try:
            secrets = self._secrets(route, at)
        except SecretLostError:
            return Attempt(stage="before", latency_ms=0, error="the route needs another secret")
        body = delivery.body.encode()
        headers = sign(delivery.delivery_id, at, body, secrets)
        return await self.caller.post(route.url, headers, body, seconds=route.timeout_seconds)

    async def deliver(
        self, route: Route, delivery: Delivery, number: int
    ) -> tuple[bool, Done | Later]:
        """Make attempt ``number`` and say whether it succeeded and what becomes of the message.

        Raises:
            Unavailable: it could not be written down; it will be made again under the same id.
        """
        at = self.clock()
        made = await self.send(route, delivery)
        wait = None if made.delivered else retry_after(number, random.uniform)
        async with self.db.tenant_connection(TenantId(route.tenant_id)) as tx:
            await self.keep(tx, delivery, number, at, made)
            if made.delivered:
                if route.failing_since is not None:
                    await store.note_working(tx, route.route_id)
            else:
                await self._failed(tx, route, at)
                if wait is None:
                    await store.bury(tx, delivery, number, at, made.error or "")
        if made.delivered:
            return True, Done()
        return False, Done() if wait is None else Later(wait, made.error or "")

    async def keep(
        self, tx: TenantTx, delivery: Delivery, number: int, at: datetime, made: Attempt
    ) -> None:
        await store.keep_attempt(tx, delivery, new_id(), number, at, made)
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

    async def _failed(self, tx: TenantTx, route: Route, at: datetime) -> None:
        """Remember since when it fails; tell the tenant after a day, give up after three."""
        since = route.failing_since
        if since is None:
            await store.note_failing(tx, route.route_id, at)
            return
        disabled = at - since >= DISABLED_AFTER and await store.disable(tx, route.route_id)
        if not disabled and (
            at - since < TOLD_AFTER or not await store.note_told(tx, route.route_id, at)
        ):
            return
        kind = "disabled" if disabled else "failing"
        await troubles.tell(
            tx,
            RouteTroubled(
                tenant_id=route.tenant_id,
                at=at,
                route_id=route.route_id,
                name=route.name,
                kind="disabled" if disabled else "failing",
                since=since,
            ),
        )
        if disabled:
            act = audit.Act(
                actor_kind="service",
                actor_id="delivery_worker",
                action="route.change",
                object_kind="route",
                object_id=str(route.route_id),
                reason=f"nothing was delivered since {since:%Y-%m-%d %H:%M} UTC",
                after={"status": "disabled"},
            )
            await audit.record(tx, act)
        log.warning("route_troubled", route_id=str(route.route_id), kind=kind)

    def _secrets(self, route: Route, at: datetime) -> list[str]:
        found = [self.safe.open(route.secret_sealed, route.tenant_id, route.route_id)]
        until = route.previous_secret_until
        if route.previous_secret_sealed is not None and until is not None and at < until:
            found.append(
                self.safe.open(route.previous_secret_sealed, route.tenant_id, route.route_id)
            )
        return found
