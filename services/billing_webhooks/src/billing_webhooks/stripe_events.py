"""The only import of stripe: a body and its signature become a verified event, or a refusal.

``stripe.Webhook.construct_event`` raises TypeError on a non-ASCII signature, AttributeError on a signed JSON array and
RecursionError on deep nesting (measured); anything that it raises is a refusal here, never a 500.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import stripe
from prometheus_client import Counter
from pydantic import BaseModel

from billing_webhooks.domain import StripeEvent
from pulse_common.errors import Malformed
from pulse_common.http import parse_model

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE_SECONDS = 300
_ID = re.compile(r"evt_[A-Za-z0-9_]{1,250}")
_TYPE = re.compile(r"[a-z0-9_.]{1,200}")

SECRET_USED = Counter(
    "pulse_stripe_signing_secret_used_total",
    "Verified events by which signing secret verified them, counted from 0 in the order of the setting",
    ["position"],
)


class _Envelope(BaseModel):
    id: str
    type: str


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
                return _read(body)
        raise Malformed("the signature is missing, wrong or too old")


def _signed_with(body: bytes, signature: str | None, secret: str) -> bool:
    try:
        stripe.WebhookSignature.verify_header(body, signature, secret, TOLERANCE_SECONDS)
    except (stripe.SignatureVerificationError, TypeError, ValueError):
        return False
    return True


def _read(body: bytes) -> StripeEvent:
    envelope = parse_model(body, _Envelope)
    if not _ID.fullmatch(envelope.id) or not _TYPE.fullmatch(envelope.type):
        raise Malformed("the body is not a Stripe event")
    return StripeEvent(envelope.id, envelope.type)
