"""Which Stripe events mean something to Pulse.  No I/O."""

from __future__ import annotations

from dataclasses import dataclass

#: Types that will change what a tenant may do.  Until their handlers exist they are refused, so that Stripe keeps them
#: and sends them again; an acknowledged one would be lost.
MEANINGFUL = frozenset(
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


@dataclass(frozen=True, slots=True)
class StripeEvent:
    """What is known of a verified event without believing the rest of its payload."""

    event_id: str
    event_type: str


def is_meaningful(event: StripeEvent) -> bool:
    return event.event_type in MEANINGFUL
