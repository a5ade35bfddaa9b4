"""A body and its signature become a verified event, or a refusal.

``stripe.Webhook.construct_event`` raises TypeError on a non-ASCII signature, AttributeError on a signed JSON array and
RecursionError on deep nesting (measured); anything that it raises is a refusal here, never a 500.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import stripe
from prometheus_client import Counter
from pydantic import BaseModel, Field, StrictBool, StrictInt

from billing_webhooks.domain import StripeEvent
from pulse_common.errors import Malformed
from pulse_common.http import parse_model

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

TOLERANCE_SECONDS = 300
_LATEST = 253_402_300_799  # the last second of year 9999, which datetime can say
_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
_TYPE = re.compile(r"[a-z0-9_.]{1,200}")
_OBJECT_ID = re.compile(r"[A-Za-z0-9_]{1,250}")

SECRET_USED = Counter(
    "pulse_stripe_signing_secret_used_total",
    "Verified events by which signing secret verified them, counted from 0 in the order of the setting",
    ["position"],
)


class _Data(BaseModel):
    object: dict[str, Any] = {}


class Envelope(BaseModel):
    """The outside of an event; ``created`` and ``livemode`` are always there in what Stripe sends."""

    id: str
    type: str
    created: Annotated[StrictInt, Field(ge=0, le=_LATEST)] = 0
    livemode: StrictBool = False
    data: _Data = _Data()


@dataclass(frozen=True, slots=True)
class Verifier:
    """Accepts what any of ``secrets`` signed within the tolerance (Stripe's own: 300 s)."""

    secrets: Sequence[str]

    def verify(self, body: bytes, signature: str | None) -> StripeEvent:
        """Return the event.

        Raises:
            Malformed: the signature is missing, wrong or too old, or the signed body is not an event.
        """
        for position, secret in enumerate(self.secrets):
            if _signed_with(body, signature, secret):
                SECRET_USED.labels(str(position)).inc()
                return to_event(parse_model(body, Envelope))
        raise Malformed("the signature is missing, wrong or too old")


def _signed_with(body: bytes, signature: str | None, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, TypeError, ValueError):
        return False
    return True


def to_event(envelope: Envelope) -> StripeEvent:
    """Keep the ids that the event points with, and none of what it says."""
    if not _ID.fullmatch(envelope.id) or not _TYPE.fullmatch(envelope.type):
        raise Malformed("the body is not a Stripe event")
    found = envelope.data.object
    kind = found.get("object")
    own_id = _id_of(found.get("id"))
    return StripeEvent(
        event_id=envelope.id,
        event_type=envelope.type,
        livemode=envelope.livemode,
        created_at=datetime.fromtimestamp(envelope.created, UTC),
        object_id=own_id,
        customer_id=own_id if kind == "customer" else _id_of(found.get("customer")),
        subscription_id=own_id if kind == "subscription" else subscription_of(found),
        charge_id=_id_of(found.get("charge")),
    )


def subscription_of(found: Mapping[str, Any]) -> str | None:
    """Read which subscription an invoice or a session is for; since API version 2025-03-31 an invoice has a parent."""
    parent = found.get("parent")
    details = parent.get("subscription_details") if isinstance(parent, dict) else None
    nested = details.get("subscription") if isinstance(details, dict) else None
    return _id_of(found.get("subscription")) or _id_of(nested)


def _id_of(value: object) -> str | None:
    """Read an id, or the id of an expanded object."""
    if isinstance(value, dict):
        value = value.get("id")
    return value if isinstance(value, str) and _OBJECT_ID.fullmatch(value) else None
