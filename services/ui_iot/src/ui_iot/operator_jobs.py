"""Use cases of operators who look after the platform: do deliveries get through, and is its own work on time?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.errors import Malformed
from pulse_common.identity import TenantId
from pulse_common.ids import parse_id
from ui_iot import operator_delivery_store as store
from ui_iot.operator_job_models import DeliveriesAnswer, JobsAnswer, RouteHealth
from ui_iot.operator_late import find_jobs

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.tenancy import Database
    from ui_iot.operator_job_models import DeliveriesQuery
    from ui_iot.operators import Operator
    from ui_iot.streams import Streams

PAGE_SIZE = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorJobs:
    """``db`` is the operators' own login."""

    db: Database
    streams: Streams

    async def deliveries(self, who: Operator, query: DeliveriesQuery) -> DeliveriesAnswer:
        """Return a page of all tenants' routes; each tenant on it is told who looked."""
        about = [TenantId(query.tenant_id)] if query.tenant_id else []
        async with self.db.operator_read_connection(
            who.id, who.reason, tenants=about, purpose="look after deliveries", name=who.name
        ) as tx:
            rows = await store.routes(
                tx,
                tenant=query.tenant_id,
                state=query.state,
                after=_cursor(query.after),
                limit=PAGE_SIZE + 1,
            )
            shown = rows[:PAGE_SIZE]
            met = {row["tenant_id"] for row in shown} - {query.tenant_id}
            await tx.touch(TenantId(tenant) for tenant in sorted(met))
        waiting = await self.streams.waiting((row["tenant_id"], row["id"]) for row in shown)
        routes = [
            RouteHealth.model_validate(
                {**row, "waiting": None if waiting is None else waiting[row["id"]]}
            )
            for row in shown
        ]
        more = len(rows) > PAGE_SIZE
        last = f"{routes[-1].tenant_id}_{routes[-1].id}" if more else None
        return DeliveriesAnswer(routes=routes, next_after=last)

    async def jobs(self, who: Operator) -> JobsAnswer:
        async with self.db.operator_read_connection(
            who.id, who.reason, purpose="look after jobs", name=who.name
        ) as tx:
            jobs = await find_jobs(tx)
        return JobsAnswer(
            jobs=jobs, streams=await self.streams.all(), parked=await self.streams.parked()
        )


def _cursor(text: str | None) -> tuple[UUID, UUID] | None:
    if text is None:
        return None
    tenant, separator, route = text.partition("_")
    if not separator:
        raise Malformed("after is not a cursor of ours")
    return parse_id(tenant, "after"), parse_id(route, "after")
