"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

from typing import TYPE_CHECKING

from billing_webhooks.handlers import Webhooks
from billing_webhooks.routes import endpoints
from billing_webhooks.stripe_events import Verifier
from pulse_common import health, parts
from pulse_common.http import build_app, nobody

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from billing_webhooks.settings import Settings
    from pulse_common.runtime import Runtime

NAME = "billing_webhooks"


def create_app(*, verifier: Verifier, readiness: health.Readiness) -> Starlette:
    return build_app([*endpoints(Webhooks(verifier)), *health.endpoints(readiness)], nobody)


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    await parts.open_database(runtime, settings.database_url, NAME)
    await parts.connect_bus(runtime, settings, NAME)
    return create_app(verifier=Verifier(settings.signing_secrets()), readiness=runtime.readiness)
