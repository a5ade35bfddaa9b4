"""The shapes of what the JSON API says about a tenant's plan, usage and invoices."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from ui_iot.api_models import Body


class CheckoutBody(Body):
    plan: str = Field(pattern=r"^[a-z0-9_]{1,40}$", description="One of `offers`.")


class UsedAnswer(BaseModel):
    name: str
    used: int | None = Field(description="Null where nothing is counted, as for days of retention.")
    limit: int | None = Field(description="Null is no limit.")
    percent: int | None = Field(description="Of the limit; null without one, or when not counted.")


class AppliedAnswer(BaseModel):
    """Why the limits are what they are."""

    version: int = Field(description="Grows with each change; 0 while no limits are written down.")
    cause: str | None = Field(
        description="A type of Stripe's event, or `override`, `usage`, `time`, `reconciler`."
    )
    stripe_event_id: str | None = Field(
        description="The event that they follow from, if one is known."
    )
    applied_at: datetime | None


class BillingAnswer(BaseModel):
    mode: Literal["stripe", "none"] = Field(description="`none`: nothing is billed here.")
    plan: str
    plan_name: str
    access: Literal["full", "no_new_devices", "read_only"] = Field(
        description="What an unpaid bill leaves; connected devices stay connected in any case."
    )
    subscription_status: str | None = Field(description="In Stripe's words; null without one.")
    unpaid_since: datetime | None
    current_period_end: datetime | None
    cancels_at_period_end: bool
    usage: list[UsedAnswer]
    features: list[str]
    offers: list[str] = Field(description="Plans that can be bought.")
    has_customer: bool = Field(description="Whether the Customer Portal can be opened.")
    applied: AppliedAnswer


class InvoiceAnswer(BaseModel):
    id: str
    status: str
    created_at: datetime
    amount_due: int = Field(description="In the currency's smallest unit.")
    currency: str
    hosted_url: str | None = Field(description="Stripe's page of it.")


class InvoicesAnswer(BaseModel):
    invoices: list[InvoiceAnswer]


class LinkAnswer(BaseModel):
    url: str = Field(description="A page of Stripe's, good for a short time, that leads back here.")
