"""The whole HTTP surface of this service, on one screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.http import Endpoint, Open

if TYPE_CHECKING:
    from billing_webhooks.handlers import Webhooks


def endpoints(webhooks: Webhooks) -> list[Endpoint]:
    return [
        Open(
            method="POST",
            path="/webhooks/stripe",
            why="Stripe's signature over the body is the credential",
            handler=webhooks.receive,
        ),
    ]
