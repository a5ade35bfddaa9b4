"""Use cases of operators who look after the platform: do deliveries get through, and is its own work on time?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from pulse_common.errors import Malformed
from pulse_common.identity import TenantId
from pulse_common.ids import parse_id
from ui_iot import operator_job_store as store
from ui_iot.operator_job_models import DeliveriesAnswer, Job, JobsAnswer, RouteHealth

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Database, OperatorTx
    from ui_iot.operator_job_models import DeliveriesQuery
    from ui_iot.operators import Operator
    from ui_iot.streams import Streams

PAGE_SIZE = 50
#: How long work of a kind may wait, or since when it may not have been done, before it counts as late.
SECONDS = timedelta(seconds=60)
HOURS = timedelta(hours=2)
DAY = timedelta(hours=26)


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
            now = await store.now(tx)
            jobs = [
                *await _evidence(tx, now),
                *await _money(tx, now),
                *await _tenants(tx, now),
                *await _upkeep(tx, now),
            ]
        return JobsAnswer(
            jobs=jobs, streams=await self.streams.all(), parked=await self.streams.parked()
        )


async def _evidence(tx: OperatorTx, now: datetime) -> list[Job]:
    sealing, lists = await store.sealing(tx), await store.lists(tx)
    heads = [
        _waits(f"audit heads: {row['place']}", "seals that this place has not", row, now, SECONDS)
        for row in await store.heads(tx)
    ]
    return [
        _waits("audit sealing", "rows that no head covers yet", sealing, now, SECONDS),
        *heads,
        Job(
            name="revocation lists",
            about="revocations that no list has yet; the oldest list's age",
            late=_is_before(lists["oldest_at"], now - HOURS),
            **lists,
        ),
    ]


async def _money(tx: OperatorTx, now: datetime) -> list[Job]:
    reconciled = await store.reconciled(tx) or {}
    last_at = reconciled.get("last_at")
    return [
        Job(
            name="billing reconciliation",
            about="differences that the last run found",
            late=_is_before(last_at, now - DAY),
            **reconciled,
        ),
        Job(name="Stripe events", about="the last one handled", **await store.stripe_handled(tx)),
        _waits("usage for Stripe", "amounts not reported", await store.metered(tx), now, DAY),
    ]


async def _tenants(tx: OperatorTx, now: datetime) -> list[Job]:
    purges, imports = await store.purges(tx), await store.imports(tx)
    return [
        _waits("purges", "tenants whose grace is over; the next one's day", purges, now, HOURS),
        _waits("imports", "bulk imports that upload or run", imports, now, HOURS),
    ]


async def _upkeep(tx: OperatorTx, now: datetime) -> list[Job]:
    days, months = await store.prepared_days(tx), await store.prepared_months(tx)
    outboxes = [
        _waits(f"outbox: {row['producer']}", "events not published yet", row, now, SECONDS)
        for row in await store.outboxes(tx)
    ]
    return [
        Job(
            name="telemetry partitions",
            about="the last day that is prepared",
            last_at=days,
            late=days is None or days < now + timedelta(days=2),
        ),
        Job(
            name="audit partitions",
            about="the last month that is prepared",
            last_at=months,
            late=months is None or months < now,
        ),
        *outboxes,
    ]


def _waits(name: str, about: str, row: dict[str, Any], now: datetime, longest: timedelta) -> Job:
    """Describe work that is late when what has waited longest has waited for too long."""
    return Job(
        name=name,
        about=about,
        last_at=row.get("last_at"),
        waiting=row["waiting"],
        oldest_at=row["oldest_at"],
        late=row["waiting"] > 0 and _is_before(row["oldest_at"], now - longest),
    )


def _is_before(at: datetime | None, limit: datetime) -> bool:
    return at is not None and at < limit


def _cursor(text: str | None) -> tuple[UUID, UUID] | None:
    if text is None:
        return None
    tenant, separator, route = text.partition("_")
    if not separator:
        raise Malformed("after is not a cursor of ours")
    return parse_id(tenant, "after"), parse_id(route, "after")
