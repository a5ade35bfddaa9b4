"""What holds for a tenant follows from its subscriptions, its overrides and the time: worked out, compared, applied."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter

from billing_webhooks import domain, entitlement_store, store, subscription_store, usage_store
from pulse_common import audit, entitlements, events, outbox

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from billing_webhooks.domain import Dunning, Held, Plan
    from pulse_common.clock import Clock
    from pulse_common.entitlements import Entitlements
    from pulse_common.tenancy import TenantTx

log = structlog.get_logger(__name__)
CHANGES = Counter("pulse_entitlements_changed_total", "Changes of what a tenant may do", ["cause"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Entitling:
    plans: Mapping[str, Plan]
    default_plan: str
    dunning: Dunning
    clock: Clock

    async def apply(self, tx: TenantTx, *, cause: str, event_id: str | None = None) -> bool:
        """Bring the tenant's limits to what they should be, and tell; the tenant must be locked.

        Returns whether anything changed.
        """
        now = self.clock()
        subscription = await self._governing(tx)
        unpaid_since = subscription.unpaid_since if subscription else None
        access = self.dunning.access(unpaid_since, now)
        if unpaid_since is not None and subscription is not None:
            await self._tell_step(tx, subscription, unpaid_since, now)
        customer = await store.find_customer(tx)
        wanted = domain.entitle(
            self.plans[(subscription and subscription.plan) or self.default_plan],
            await entitlement_store.live_overrides(tx, now),
            frozenset(customer["features"] if customer else ()),
            access,
        )
        wanted = await self._exhausted(tx, wanted, now)
        held = await entitlements.load(tx)
        if held.version and domain.same(held, wanted):
            return False
        event_id = event_id or (subscription.event_id if subscription else None)
        await self._write(tx, held, replace(wanted, version=held.version + 1), cause, event_id)
        return True

    async def _exhausted(self, tx: TenantTx, wanted: Entitlements, now: datetime) -> Entitlements:
        """Let nothing more in this month when a hard limit is used up; sessions stay as they are."""
        limit = wanted.messages_per_month
        if not wanted.hard_limits or limit is None:
            return wanted
        used = await usage_store.messages_of_month(tx, now.date().replace(day=1))
        return wanted if used < limit else replace(wanted, messages_per_second=0)

    async def _governing(self, tx: TenantTx) -> Held | None:
        return domain.governing(await subscription_store.find_all(tx), self.plans)

    async def _tell_step(
        self, tx: TenantTx, subscription: Held, since: datetime, now: datetime
    ) -> None:
        step = self.dunning.step(since, now)
        key = f"dunning:{subscription.subscription_id}:{since.isoformat()}:{step}"
        await self.tell(tx, f"dunning_{step}", key, subscription.event_id)

    async def tell(self, tx: TenantTx, kind: str, key: str, event_id: str | None) -> bool:
        """Send a notice, once for each ``key``."""
        now = self.clock()
        if not await store.notice(tx, kind, key, event_id, now):
            return False
        event = events.BillingNotice(tenant_id=tx.tenant, at=now, kind=kind, notice_key=key)
        await outbox.emit(tx, event)
        log.info("billing_noticed", tenant_id=str(tx.tenant), kind=kind)
        return True

    async def _write(
        self,
        tx: TenantTx,
        before: Entitlements,
        held: Entitlements,
        cause: str,
        event_id: str | None,
    ) -> None:
        now = self.clock()
        await audit.record(tx, _act(tx, before, held, cause, event_id))
        await entitlement_store.apply(tx, held, cause=cause, event_id=event_id, now=now)
        event = events.EntitlementsChanged(
            tenant_id=tx.tenant,
            at=now,
            version=held.version,
            plan=held.plan,
            access=held.access,
            limits=held.limits(),
            hard_limits=held.hard_limits,
            features=sorted(held.features),
            cause=cause,
            stripe_event_id=event_id,
        )
        await outbox.emit(tx, event)
        CHANGES.labels(cause).inc()
        log.info(
            "entitlements_changed",
            tenant_id=str(tx.tenant),
            version=held.version,
            plan=held.plan,
            access=held.access,
            cause=cause,
            event_id=event_id,
        )


def _act(
    tx: TenantTx, before: Entitlements, held: Entitlements, cause: str, event_id: str | None
) -> audit.Act:
    return audit.Act(
        actor_kind="service",
        actor_id="billing_webhooks",
        action="entitlements.change",
        object_kind="tenant",
        object_id=str(tx.tenant),
        before=_told(before) if before.version else None,
        after=_told(held),
        details={"cause": cause, "stripe_event_id": event_id, "version": held.version},
    )


def _told(held: Entitlements) -> dict[str, object]:
    return {"plan": held.plan, "access": held.access, **held.limits()}
