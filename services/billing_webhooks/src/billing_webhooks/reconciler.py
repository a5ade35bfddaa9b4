"""Stripe, the database and the limits compared, and what differs repaired; missed events are fetched and handled."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter, Gauge

from billing_webhooks import domain, entitlement_store, reconciler_store, store, usage_store
from billing_webhooks.processing import HANDLED
from pulse_common import events
from pulse_common.errors import AppError
from pulse_common.identity import TenantId
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from billing_webhooks.domain import Subscription
    from billing_webhooks.entitling import Entitling
    from billing_webhooks.processing import Processing
    from pulse_common.tenancy import Database, TenantTx, Tx

log = structlog.get_logger(__name__)
OVERLAP = timedelta(hours=1)
OLDEST = timedelta(days=29)
"""Stripe keeps events for 30 days."""
NEVER = datetime(2000, 1, 1, tzinfo=UTC)
LATE = timedelta(days=1)
"""How long a meter event may wait before somebody should look why."""

FINDINGS = Counter(
    "pulse_billing_drift_total", "Differences that were found and repaired", ["kind"]
)
LAST_RUN = Gauge("pulse_billing_reconciled_timestamp_seconds", "When a run last ended well")


@dataclass(slots=True)
class Report:
    """What one run did."""

    checked: int = 0
    backfilled: int = 0
    findings: list[events.Finding] = field(default_factory=list)

    def found(self, kind: str, tenant: UUID | None, object_id: str | None) -> None:
        self.findings.append(events.Finding(kind=kind, tenant_id=tenant, object_id=object_id))
        FINDINGS.labels(kind).inc()
        log.warning(
            "billing_drift_found",
            kind=kind,
            tenant_id=str(tenant) if tenant else None,
            object_id=object_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Reconciler:
    """``processing`` is None where nothing is billed: limits alone can have drifted there."""

    db: Database
    entitling: Entitling
    processing: Processing | None

    async def run_once(self) -> Report | None:
        """Compare and repair everything; None when another replica is at it.

        Raises:
            Unavailable: Stripe or the database is away; what was repaired stays so.
        """
        report = Report()
        started_at = self.entitling.clock()
        async with self.db.service_connection("pulse_billing") as lock:
            if not await usage_store.try_lock(lock, "reconcile"):
                return None
            try:
                if self.processing is not None:
                    await self._with_stripe(lock, report, self.processing, started_at)
            finally:
                # Limits follow from what is here: that Stripe is away does not keep a grant alive that has ended.
                await self._limits(lock, report)
            finished_at = self.entitling.clock()
            await reconciler_store.save_run(
                lock,
                {
                    "run_id": new_id(),
                    "started_at": started_at,
                    "finished_at": finished_at,
                    # Where Stripe is not asked nothing is known to be complete.
                    "events_through": started_at if self.processing else NEVER,
                    "checked": report.checked,
                },
                [finding.model_dump(mode="json") for finding in report.findings],
            )
        LAST_RUN.set(finished_at.timestamp())
        log.info("billing_reconciled", checked=report.checked, drift=len(report.findings))
        return report

    async def _with_stripe(
        self, lock: Tx, report: Report, processing: Processing, now: datetime
    ) -> None:
        through = await reconciler_store.events_through(lock) or NEVER
        await self._backfill(lock, report, processing, max(through, now - OLDEST) - OVERLAP)
        await self._subscriptions(lock, report, processing)
        for identifier, tenant in await usage_store.unsent_meter_events(lock, now - LATE):
            report.found("usage_not_metered", tenant, identifier)

    async def _backfill(
        self, lock: Tx, report: Report, processing: Processing, since: datetime
    ) -> None:
        """Handle, oldest first, what Stripe told and we never heard."""
        told = [
            event
            async for event in processing.api.events_since(since)
            if domain.is_meaningful(event.event_type)
        ]
        known = await store.known_events(lock, [event.event_id for event in told])
        for event in sorted(told, key=lambda each: each.created_at):
            if event.event_id in known:
                continue
            if await processing.process(event, "backfill") == HANDLED:
                report.backfilled += 1
                report.found("event_missed", None, event.event_id)
            await usage_store.stay(lock)

    async def _subscriptions(self, lock: Tx, report: Report, processing: Processing) -> None:
        ours = await reconciler_store.all_subscriptions(lock)
        seen: set[str] = set()
        async for found in processing.api.subscriptions():
            report.checked += 1
            seen.add(found.subscription_id)
            row = ours.get(found.subscription_id)
            if row is None or not domain.agrees(row, found, processing.prices):
                await self._repair(report, processing, found, is_new=row is None)
            await usage_store.stay(lock)
        for subscription_id, row in ours.items():
            if subscription_id in seen or domain.has_ended(row["status"]):
                continue
            async with self._tenant(row["tenant_id"]) as tx:
                await store.lock_tenant(tx)
                await processing.refresh(tx, subscription_id)
            report.found("subscription_gone", row["tenant_id"], subscription_id)

    async def _repair(
        self, report: Report, processing: Processing, found: Subscription, *, is_new: bool
    ) -> None:
        tenant = await processing.homes.tenant_of(found.customer_id)
        if tenant is None:
            if not domain.has_ended(found.status):
                report.found("customer_unknown", None, found.subscription_id)
            return
        async with self._tenant(tenant) as tx:
            await store.lock_tenant(tx)
            outcome = await processing.refresh(tx, found.subscription_id)
            if outcome == HANDLED:
                await self.entitling.apply(tx, cause="reconciler")
                kind = "subscription_missed" if is_new else "subscription_drift"
                report.found(kind, tenant, found.subscription_id)

    async def _limits(self, lock: Tx, report: Report) -> None:
        for tenant in await entitlement_store.all_tenants(lock):
            try:
                async with self._tenant(tenant) as tx:
                    await store.lock_tenant(tx)
                    changed = await self.entitling.apply(tx, cause="reconciler")
            except AppError as error:
                log.warning("reconcile_skipped", tenant_id=str(tenant), reason=error.code)
                continue
            report.checked += 1
            if changed:
                report.found("limits_drift", tenant, None)
            await usage_store.stay(lock)

    def _tenant(self, tenant: UUID) -> AbstractAsyncContextManager[TenantTx]:
        return self.db.service_tenant_connection("pulse_billing", TenantId(tenant))
