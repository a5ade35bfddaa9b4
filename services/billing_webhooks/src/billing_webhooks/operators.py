"""What operators ask of billing: what happened, once more please, another limit, and whether the books are right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from billing_webhooks import entitlement_store, operator_store, store
from billing_webhooks.domain import Override, StripeEvent
from pulse_common import audit, entitlements, events
from pulse_common.errors import Conflict, Malformed, NotFound, Unavailable
from pulse_common.identity import TenantId
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from uuid import UUID

    from billing_webhooks.entitling import Entitling
    from billing_webhooks.processing import Processing
    from billing_webhooks.reconciler import Reconciler
    from billing_webhooks.stripe_api import StripeApi
    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database, TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """``processing`` is None where nothing is billed."""

    db: Database
    entitling: Entitling
    processing: Processing | None
    reconciler: Reconciler
    clock: Clock

    async def history(self, request: events.BillingHistoryRequest) -> events.BillingHistoryReply:
        async with self._tenant(request.tenant_id) as tx:
            customer = await store.find_customer(tx)
            subscriptions = await operator_store.subscriptions(tx)
            told = await operator_store.stripe_events(tx)
            applied = await entitlement_store.history(tx)
            act = _act(request.actor_id, "billing.history", "tenant", str(request.tenant_id))
            await audit.record(tx, act)
        return events.BillingHistoryReply(
            customer_id=customer["customer_id"] if customer else None,
            subscriptions=[events.SubscriptionSeen(**row) for row in subscriptions],
            stripe_events=[events.StripeEventSeen(**row) for row in told],
            entitlements=[
                events.EntitlementsApplied(
                    version=row["version"],
                    plan=row["plan_id"],
                    access=row["access"],
                    limits={name: row["limits"].get(name) for name in entitlements.LIMITS},
                    cause=row["cause"],
                    stripe_event_id=row["event_id"],
                    applied_at=row["applied_at"],
                )
                for row in applied
            ],
        )

    async def replay(self, request: events.ReplayRequest) -> events.ReplayReply:
        """Handle an event once more, by what Stripe has now: doing so again changes nothing further.

        It is made of the ids that we kept: it may be older than what Stripe keeps of its events (30 days).

        Raises:
            NotFound: it never came here, or is of a customer that is nobody's.
        """
        if self.processing is None:
            raise Unavailable("billing is off here")
        event, tenant = await self._kept(self.processing.api, request.stripe_event_id)
        tenant = await self.processing.homes.find(event, tenant)
        if tenant is None:
            raise NotFound("the event's customer is nobody's here")
        async with self._tenant(tenant) as tx:
            await store.lock_tenant(tx)
            outcome = await self.processing.handle(tx, event)
            await store.mark_replayed(tx, event.event_id, outcome, self.clock())
            act = _act(
                request.actor_id, "billing.replay", "stripe_event", event.event_id, request.reason
            )
            await audit.record(tx, act)
        return events.ReplayReply(outcome=outcome)

    async def override(self, request: events.OverrideRequest) -> events.OverrideReply:
        """Grant another limit.

        Raises:
            Malformed: there is no such limit, or the end is past.
        """
        if request.limit_name not in entitlements.LIMITS:
            raise Malformed("limit_name must be one of " + ", ".join(entitlements.LIMITS))
        if request.expires_at is not None and request.expires_at <= self.clock():
            raise Malformed("expires_at must lie ahead")
        if request.amount is not None and request.amount < 0:
            raise Malformed("amount must not be negative")
        grant = {
            "expires_at": request.expires_at,
            "reason": request.reason,
            "created_by": request.actor_id,
        }
        async with self._tenant(request.tenant_id) as tx:
            await store.lock_tenant(tx)
            if not await store.tenant_exists(tx, request.tenant_id):
                raise NotFound("no such tenant")
            override = Override(request.limit_name, request.amount)
            await entitlement_store.add_override(tx, new_id(), override, grant)
            await self.entitling.apply(tx, cause="override")
            act = _act(
                request.actor_id,
                "billing.override",
                "tenant",
                str(request.tenant_id),
                request.reason,
            )
            await audit.record(tx, act)
            held = await entitlements.load(tx)
        return events.OverrideReply(version=held.version)

    async def reconcile(self, _: events.ReconcileRequest) -> events.ReconcileReply:
        """Compare and repair now.

        Raises:
            Conflict: a run is under way.
        """
        report = await self.reconciler.run_once()
        if report is None:
            raise Conflict("a run is under way")
        return events.ReconcileReply(
            checked=report.checked, backfilled=report.backfilled, findings=report.findings
        )

    async def _kept(self, api: StripeApi, event_id: str) -> tuple[StripeEvent, UUID | None]:
        async with self.db.service_connection("pulse_billing") as tx:
            found = await operator_store.find_event(tx, event_id)
        if found is None:
            raise NotFound("this event never came here")
        tenant: UUID | None = found.pop("home_tenant_id")
        object_id = found["object_id"]
        if found["event_type"].startswith("customer.subscription."):
            found["subscription_id"] = object_id
        elif found["event_type"].startswith("invoice.") and object_id is not None:
            found["subscription_id"] = await api.subscription_of_invoice(object_id)
        return StripeEvent(**found), tenant

    def _tenant(self, tenant: UUID) -> AbstractAsyncContextManager[TenantTx]:
        return self.db.service_tenant_connection("pulse_billing", TenantId(tenant))


def _act(
    actor_id: str, action: audit.Action, kind: str, object_id: str, reason: str | None = None
) -> audit.Act:
    return audit.Act(
        actor_kind="operator",
        actor_id=actor_id,
        action=action,
        object_kind=kind,
        object_id=object_id,
        reason=reason,
    )
