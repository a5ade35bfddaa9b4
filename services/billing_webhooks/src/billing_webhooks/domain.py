"""What Stripe's events mean to Pulse, what a plan allows, and what happens when a bill stays unpaid.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from pulse_common.entitlements import LIMITS, Access, Entitlements

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

#: Types that may change what a tenant may do, or that somebody should hear of.
MEANINGFUL: Final = frozenset(
    {
        "checkout.session.completed",
        "customer.subscription.created",
        "customer.subscription.updated",
        "customer.subscription.deleted",
        "customer.subscription.paused",
        "customer.subscription.resumed",
        "customer.subscription.trial_will_end",
        "invoice.paid",
        "invoice.payment_failed",
        "invoice.finalized",
        "customer.updated",
        "customer.deleted",
        "charge.dispute.created",
        "entitlements.active_entitlement_summary.updated",
    }
)
#: Events that a tenant's administrators should hear of, once each.
NOTICES: Final = {
    "customer.subscription.trial_will_end": "trial_will_end",
    "invoice.payment_failed": "payment_failed",
    "charge.dispute.created": "dispute",
}
_GOOD: Final = frozenset({"active", "trialing"})
_UNPAID: Final = frozenset({"past_due", "unpaid"})
_ENDED: Final = frozenset({"canceled", "incomplete_expired"})
THRESHOLDS: Final = (50, 80, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class StripeEvent:
    """What is taken from a verified event: who it is and which objects it points at, nothing that they say."""

    event_id: str
    event_type: str
    livemode: bool
    created_at: datetime
    object_id: str | None = None
    customer_id: str | None = None
    subscription_id: str | None = None
    charge_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """A subscription as Stripe has it."""

    subscription_id: str
    customer_id: str
    status: str
    livemode: bool
    price_ids: tuple[str, ...]
    quantity: int
    cancel_at_period_end: bool
    current_period_end: datetime | None
    trial_end: datetime | None
    created_at: datetime
    test_clock: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A subscription as our database has it."""

    subscription_id: str
    status: str
    plan: str | None
    unpaid_since: datetime | None
    created_at: datetime
    event_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    plan: str
    name: str
    rank: int
    hard_limits: bool
    features: frozenset[str]
    limits: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Override:
    limit_name: str
    amount: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dunning:
    """Days after the first unpaid bill: for ``grace_days`` nothing changes, after ``read_only_days`` nothing can."""

    grace_days: int = 7
    read_only_days: int = 14

    def access(self, unpaid_since: datetime | None, now: datetime) -> Access:
        if unpaid_since is None or now < unpaid_since + timedelta(days=self.grace_days):
            return "full"
        if now < unpaid_since + timedelta(days=self.read_only_days):
            return "no_new_devices"
        return "read_only"

    def step(self, unpaid_since: datetime, now: datetime) -> str:
        """Name the newest step that was reached; each is told once."""
        steps = {
            "unpaid": 0,
            "grace_half": self.grace_days // 2,
            "grace_last_day": max(self.grace_days - 1, 0),
            "no_new_devices": self.grace_days,
            "read_only": self.read_only_days,
        }
        days = (now - unpaid_since) / timedelta(days=1)
        return [name for name, after in steps.items() if days >= after][-1]


def is_meaningful(event_type: str) -> bool:
    return event_type in MEANINGFUL


def plan_of(prices: Mapping[str, str], price_ids: Sequence[str]) -> str | None:
    """Return the plan that a subscription's prices buy; None when no price is known here."""
    return next((prices[price] for price in price_ids if price in prices), None)


def agrees(held: Mapping[str, Any], found: Subscription, prices: Mapping[str, str]) -> bool:
    """Whether our row of a subscription says what Stripe says."""
    plan = plan_of(prices, found.price_ids)
    return (
        held["status"] == found.status
        and tuple(held["price_ids"]) == found.price_ids
        and held["quantity"] == found.quantity
        and held["cancel_at_period_end"] == found.cancel_at_period_end
        and held["current_period_end"] == found.current_period_end
        and held["trial_end"] == found.trial_end
        and (plan is None or held["plan_id"] == plan)
    )


def unpaid_since(
    status: str, before: datetime | None, now: datetime, previous_status: str | None
) -> datetime | None:
    """Return since when a subscription is unpaid: kept while it stays so, gone as soon as it is paid."""
    if status not in _UNPAID:
        return None
    return before if before and previous_status in _UNPAID else now


def governing(subscriptions: Sequence[Held], plans: Mapping[str, Plan]) -> Held | None:
    """Choose the subscription whose plan holds: the highest plan of those that count; a paid one before an unpaid."""
    counted = [s for s in subscriptions if s.plan in plans and s.status in _GOOD | _UNPAID]

    def order(held: Held) -> tuple[bool, int, datetime]:
        return held.status in _GOOD, plans[held.plan or ""].rank, held.created_at

    return max(counted, key=order, default=None)


def entitle(
    plan: Plan, overrides: Sequence[Override], features: frozenset[str], access: Access
) -> Entitlements:
    """Put together what holds, without a version."""
    limits: dict[str, Any] = {name: plan.limits.get(name) for name in LIMITS}
    limits.update({override.limit_name: override.amount for override in overrides})
    return Entitlements(
        plan=plan.plan,
        access=access,
        hard_limits=plan.hard_limits,
        features=plan.features | features,
        **limits,
    )


def same(one: Entitlements, other: Entitlements) -> bool:
    return replace(one, version=0) == replace(other, version=0)


def has_ended(status: str) -> bool:
    return status in _ENDED


def reached(used: int, limit: int | None) -> list[int]:
    """Return the thresholds, in percent of the limit, that ``used`` has reached."""
    if limit is None:
        return []
    return [percent for percent in THRESHOLDS if used * 100 >= limit * percent and used > 0]
