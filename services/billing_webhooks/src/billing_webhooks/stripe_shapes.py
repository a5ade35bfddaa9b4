"""What is read of Stripe's objects, in every shape that its API versions gave them; the rest is ignored."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, RootModel

from billing_webhooks.domain import StripeEvent, Subscription
from billing_webhooks.stripe_events import Envelope, subscription_of, to_event

__all__ = ["Envelope", "event_of", "subscription_of"]

Reference = str | dict[str, Any] | None


class Anything(BaseModel):
    """An answer of which only the arrival matters."""


class Whole(RootModel[dict[str, Any]]):
    """An object of which ids are read, and nothing kept."""


class Page(BaseModel):
    data: list[dict[str, Any]]
    has_more: bool = False


class _Priced(BaseModel):
    id: str


class _Item(BaseModel):
    price: _Priced | None = None
    plan: _Priced | None = None
    quantity: int | None = 1
    current_period_end: int | None = None


class _Items(BaseModel):
    data: list[_Item] = []


class SubscriptionShape(BaseModel):
    id: str
    customer: Reference
    status: str
    livemode: bool = False
    items: _Items = _Items()
    cancel_at_period_end: bool = False
    current_period_end: int | None = None
    trial_end: int | None = None
    created: int
    test_clock: Reference = None

    def to_subscription(self) -> Subscription:
        rows = self.items.data
        prices = tuple(p.id for item in rows if (p := item.price or item.plan) is not None)
        # Since API version 2025-03-31 each item has a period of its own.
        end = self.current_period_end or max((i.current_period_end or 0 for i in rows), default=0)
        return Subscription(
            subscription_id=self.id,
            customer_id=id_of(self.customer) or "",
            status=self.status,
            livemode=self.livemode,
            price_ids=prices,
            quantity=sum(item.quantity or 0 for item in rows),
            cancel_at_period_end=self.cancel_at_period_end,
            current_period_end=_time(end),
            trial_end=_time(self.trial_end),
            created_at=datetime.fromtimestamp(self.created, UTC),
            test_clock=id_of(self.test_clock),
        )


class CustomerShape(BaseModel):
    id: str
    deleted: bool = False
    livemode: bool = False
    metadata: dict[str, str] = {}
    test_clock: Reference = None


class ChargeShape(BaseModel):
    id: str
    customer: Reference = None


class SessionShape(BaseModel):
    id: str
    customer: Reference = None
    subscription: Reference = None
    client_reference_id: str | None = None


class FeatureShape(BaseModel):
    id: str
    lookup_key: str


class LinkShape(BaseModel):
    url: str


class InvoiceShape(BaseModel):
    id: str
    status: str | None = None
    created: int
    amount_due: int = 0
    currency: str = ""
    hosted_invoice_url: str | None = None


def event_of(envelope: Envelope) -> StripeEvent:
    return to_event(envelope)


def id_of(value: Reference) -> str | None:
    """Read an id, or the id of an expanded object."""
    if isinstance(value, dict):
        found = value.get("id")
        return found if isinstance(found, str) else None
    return value


def _time(seconds: int | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
