"""Feeds tenants' own audit logs to the routes that ask for them: a SIEM by webhook.

The log itself is the queue.  A cursor for each route says up to where its rows were placed, in the order in which the
log is sealed; where there is no room the cursor waits, so that nothing of it is dropped.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from delivery_worker import audit_store, store
from delivery_worker.domain import delivery_id_of
from delivery_worker.router import Happened, delivery_of
from pulse_common.delivery_events import AUDIT
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from delivery_worker.domain import Route
    from delivery_worker.known_routes import KnownRoutes
    from delivery_worker.placing import Placing
    from pulse_common.tenancy import Database, Row

log = structlog.get_logger(__name__)

EVERY_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFeed:
    db: Database
    routes: KnownRoutes
    placing: Placing

    async def run(self) -> None:
        """Feed for ever; trouble of the database or the bus is waited out."""
        while True:
            try:
                await self.feed_once()
            except Unavailable as error:
                log.warning("audit_feed_waits", reason=error.message)
            await asyncio.sleep(EVERY_SECONDS)

    async def feed_once(self) -> None:
        async with self.db.service_connection("pulse_delivery") as tx:
            tenants = await audit_store.tenants_that_want(tx, AUDIT)
        for tenant in tenants:
            for route in await self.routes.of(tenant):
                if AUDIT in route.event_types and route.status != "unverified":
                    while await self._feed(route):
                        pass

    async def _feed(self, route: Route) -> bool:
        """Place the next rows for one route and say whether there may be more; after a crash the same come again."""
        async with self.db.tenant_connection(TenantId(route.tenant_id)) as tx:
            rows, past_all = await audit_store.next_rows(tx, route.route_id)
            devices = [device for row in rows if (device := _device(row))]
            groups = await store.find_groups(tx, devices, list(route.group_ids))
            done = 0
            for row in rows:
                if not await self._place(route, row, groups):
                    break
                done += 1
            if done == len(rows) and past_all is not None:
                await audit_store.move_cursor(tx, route.route_id, past_all)
            elif done:
                last = audit_store.cursor_at(rows[done - 1])
                await audit_store.move_cursor(tx, route.route_id, last)
        return done == audit_store.AT_ONCE

    async def _place(self, route: Route, row: Row, groups: Mapping[UUID, frozenset[UUID]]) -> bool:
        happened = Happened(
            tenant=route.tenant_id,
            event_type=AUDIT,
            at=row["at"],
            device=_device(row),
            data=audit_store.shown(row),
        )
        own = groups.get(happened.device, frozenset()) if happened.device else frozenset()
        if not route.wants(AUDIT, happened.device, own, frozenset()):
            return True
        name = delivery_id_of(route.route_id, AUDIT, row["audit_id"].encode())
        return await self.placing.place(delivery_of(route, happened, name))


def _device(row: Row) -> UUID | None:
    if row["object_kind"] != "device":
        return None
    try:
        return UUID(row["object_id"])
    except ValueError:
        return None
