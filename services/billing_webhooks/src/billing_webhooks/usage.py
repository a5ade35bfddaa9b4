"""Counting what tenants use, telling them before it is too much, and metering it to Stripe."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from billing_webhooks import domain, store, usage_store
from pulse_common import entitlements
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import date
    from uuid import UUID

    from billing_webhooks.entitling import Entitling
    from billing_webhooks.stripe_api import StripeApi
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, Row, TenantTx, Tx

log = structlog.get_logger(__name__)
COUNT_AGAIN = timedelta(days=2)
"""For how long a month that is over is counted again: devices that were offline send late."""
TRY_AGAIN = timedelta(hours=1)
"""After which a meter event that Stripe refused is sent again: somebody may have made the meter meanwhile."""
METERED = Counter("pulse_billing_meter_events_total", "Meter events by outcome", ["outcome"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Metering:
    db: Database
    api: StripeApi | None
    entitling: Entitling
    clock: Clock
    meters: Mapping[str, str]
    """Stripe's name of each meter."""

    async def run_once(self) -> None:
        """Count, tell, meter.

        Raises:
            Unavailable: the database or Stripe is away; what was counted stays counted.
        """
        now = self.clock()
        if not await self._count(now):
            return
        async with self.db.service_connection("pulse_billing") as tx:
            near = await usage_store.near_limits(tx, month_of(now))
        for tenant in near:
            async with self._of(tenant) as tx_:
                await store.lock_tenant(tx_)
                await self._tell(tx_, month_of(now))
                await self.entitling.apply(tx_, cause="usage")
        while self.api is not None and await self._send_one(self.api, now):
            pass

    async def _count(self, now: datetime) -> bool:
        """Only one replica counts at a time; each count is kept, whatever becomes of the next one."""
        months = {month_of(now - COUNT_AGAIN), month_of(now)}
        async with self.db.service_connection("pulse_billing") as lock:
            if not await usage_store.try_lock(lock, "usage"):
                return False
            async with self._own() as tx:
                await usage_store.count_device_months(tx, month_of(now))
                tenants = await usage_store.list_tenants(tx)
            for month in months - {month_of(now)}:  # the last one may still grow
                for tenant in tenants:
                    await usage_store.stay(lock)
                    async with self._of(tenant) as tx_:
                        await usage_store.count_device_months_by_readings(tx_, month)
            if self.api is not None:
                async with self._own() as tx:
                    await usage_store.prepare_meter_events(tx, now.date())
        return True

    def _own(self) -> AbstractAsyncContextManager[Tx]:
        return self.db.service_connection("pulse_billing")

    def _of(self, tenant: UUID) -> AbstractAsyncContextManager[TenantTx]:
        return self.db.service_tenant_connection("pulse_billing", TenantId(tenant))

    async def _tell(self, tx: TenantTx, month: date) -> None:
        held = await entitlements.load(tx)
        messages = await usage_store.messages_of_month(tx, month)
        for percent in domain.reached(messages, held.messages_per_month):
            key = f"usage:messages:{month}:{percent}"
            await self.entitling.tell(tx, f"usage_messages_{percent}", key, None)
        devices = await usage_store.devices_of(tx)
        for percent in domain.reached(devices, held.devices):
            key = f"usage:devices:{held.devices}:{percent}"
            await self.entitling.tell(tx, f"usage_devices_{percent}", key, None)

    async def _send_one(self, api: StripeApi, now: datetime) -> bool:
        async with self.db.service_connection("pulse_billing") as tx:
            due = await usage_store.next_meter_event(tx, now.date(), now - TRY_AGAIN)
            if due is None:
                return False
            outcome = "metered" if await self._send(api, due) else "refused"
            if outcome == "metered":
                await usage_store.meter_event_sent(tx, due["identifier"], now)
            else:  # the next one's turn: one customer's must not keep back everybody's
                await usage_store.meter_event_refused(tx, due["identifier"], now)
        METERED.labels(outcome).inc()
        tenant_id = str(due["tenant_id"])
        log.info("usage_sent", outcome=outcome, tenant_id=tenant_id, metric=due["metric"])
        return True

    async def _send(self, api: StripeApi, due: Row) -> bool:
        # The day's last second, so that it counts in the period in which it was used.  Never the moment of sending:
        # Stripe takes a request that comes again with other values for another one.
        end = datetime.combine(due["day"], datetime.max.time(), tzinfo=UTC)
        params = {
            "event_name": self.meters[due["metric"]],
            "timestamp": str(int(min(end, due["created_at"]).timestamp())),
            "payload": {"stripe_customer_id": due["customer_id"], "value": str(due["amount"])},
        }
        return await api.meter(params, due["identifier"])


def month_of(now: datetime) -> date:
    return now.date().replace(day=1)
