"""Wiring: the only place that knows which parts are real."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

from billing_webhooks import entitlement_store, store
from billing_webhooks.domain import Dunning
from billing_webhooks.entitling import Entitling
from billing_webhooks.handlers import Webhooks
from billing_webhooks.homes import Homes
from billing_webhooks.links import Links
from billing_webhooks.operators import Operators
from billing_webhooks.processing import Processing
from billing_webhooks.reconciler import Reconciler
from billing_webhooks.routes import endpoints
from billing_webhooks.stripe_api import open_api
from billing_webhooks.stripe_events import Verifier
from billing_webhooks.sweeping import Sweeping, repeat
from billing_webhooks.usage import Metering
from pulse_common import events, health, parts
from pulse_common.clock import system_clock
from pulse_common.http import build_app, nobody
from pulse_common.outbox import Relay
from pulse_common.settings import SettingsError

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from billing_webhooks.domain import Plan
    from billing_webhooks.settings import Settings
    from billing_webhooks.stripe_api import StripeApi
    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.runtime import Runtime
    from pulse_common.tenancy import Database

log = structlog.get_logger(__name__)
NAME = "billing_webhooks"
MOST_CONNECTIONS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that this service does; what asks Stripe is None where nothing is billed."""

    webhooks: Webhooks
    sweeping: Sweeping
    metering: Metering
    reconciler: Reconciler
    links: Links
    operators: Operators

    async def close(self) -> None:
        if self.metering.api is not None:
            await self.metering.api.close()


def create_app(*, webhooks: Webhooks, readiness: health.Readiness) -> Starlette:
    return build_app([*endpoints(webhooks), *health.endpoints(readiness)], nobody)


async def load_plans(database: Database, settings: Settings) -> dict[str, Plan]:
    """Read the plans, and refuse settings that do not belong to this database.

    Raises:
        SettingsError: naming every plan that does not exist; or the key is of the other mode than the customers here.
    """
    async with database.service_connection("pulse_billing") as tx:
        plans = await entitlement_store.load_plans(tx)
        others = await store.customers_of_mode(tx, livemode=not settings.livemode)
    if settings.stripe_api_key and others:
        # Stripe would know none of their subscriptions, and all would lose what they pay for.
        raise SettingsError(
            f"STRIPE_API_KEY is of the {_mode_name(settings.livemode)} mode, and {others} customers in this database"
            f" are of the {_mode_name(not settings.livemode)} mode"
        )
    unknown = sorted({settings.default_plan, *settings.prices().values()} - set(plans))
    if unknown:
        raise SettingsError(f"there is no plan {', '.join(unknown)} in billing_plans")
    return plans


def build(
    database: Database, settings: Settings, plans: dict[str, Plan], clock: Clock = system_clock
) -> Parts:
    api = _open_api(settings)
    entitling = Entitling(
        plans=plans,
        default_plan=settings.default_plan,
        dunning=Dunning(
            grace_days=settings.billing_grace_days,
            read_only_days=settings.billing_read_only_days,
        ),
        clock=clock,
    )
    processing = _processing(database, settings, api, entitling) if api else None
    reconciler = Reconciler(db=database, entitling=entitling, processing=processing)
    return Parts(
        webhooks=Webhooks(Verifier(settings.signing_secrets()), processing),
        sweeping=Sweeping(db=database, entitling=entitling, plans=plans, clock=clock),
        metering=_metering(database, settings, api, entitling),
        reconciler=reconciler,
        links=Links(
            db=database,
            api=api,
            plans=plans,
            prices=settings.prices(),
            livemode=settings.livemode,
            public_url=settings.public_url,
            clock=clock,
        ),
        operators=Operators(
            db=database,
            entitling=entitling,
            processing=processing,
            reconciler=reconciler,
            clock=clock,
        ),
    )


def _processing(
    database: Database, settings: Settings, api: StripeApi, entitling: Entitling
) -> Processing:
    return Processing(
        db=database,
        api=api,
        entitling=entitling,
        prices=settings.prices(),
        homes=Homes(
            db=database,
            api=api,
            livemode=settings.livemode,
            test_clocks=settings.stripe_test_clocks,
        ),
    )


def _metering(
    database: Database, settings: Settings, api: StripeApi | None, entitling: Entitling
) -> Metering:
    return Metering(
        db=database,
        api=api,
        entitling=entitling,
        clock=entitling.clock,
        meters={
            "messages": settings.stripe_meter_messages,
            "device_months": settings.stripe_meter_device_months,
        },
    )


def _mode_name(livemode: bool) -> str:  # noqa: FBT001 -- Stripe's own mark
    return "live" if livemode else "test"


def _open_api(settings: Settings) -> StripeApi | None:
    if settings.stripe_api_key is None:
        return None
    return open_api(
        api_key=settings.stripe_api_key.get_secret_value(),
        base=settings.stripe_api_base,
        timeout_seconds=settings.stripe_timeout_seconds,
    )


async def start(settings: Settings, runtime: Runtime) -> Starlette:
    database = await parts.open_database(
        runtime, settings.database_url, NAME, max_connections=MOST_CONNECTIONS
    )
    bus = await parts.connect_bus(runtime, settings, NAME)
    await bus.ensure_stream(events.STREAM_EVENTS)
    made = build(database, settings, await load_plans(database, settings))
    runtime.stack.push_async_callback(made.close)
    await _answer(bus, made)
    _spawn(runtime, settings, made)
    runtime.spawn("outbox relay", Relay(database, bus).run())
    runtime.readiness.note("billing", mode(settings))
    log.info("billing_mode", mode=mode(settings))
    return create_app(webhooks=made.webhooks, readiness=runtime.readiness)


def mode(settings: Settings) -> str:
    if settings.stripe_api_key is None:
        return f"off: every tenant has the plan {settings.default_plan}"
    return f"stripe, {_mode_name(settings.livemode)} mode"


async def _answer(bus: Bus, made: Parts) -> None:
    await bus.answer(events.BillingRequest, made.links.overview)
    await bus.answer(events.BillingLinkRequest, made.links.link)
    await bus.answer(events.BillingHistoryRequest, made.operators.history)
    await bus.answer(events.ReplayRequest, made.operators.replay)
    await bus.answer(events.OverrideRequest, made.operators.override)
    await bus.answer(events.ReconcileRequest, made.operators.reconcile)


def _spawn(runtime: Runtime, settings: Settings, made: Parts) -> None:
    work = {
        "sweep": (settings.billing_sweep_seconds, made.sweeping.run_once),
        "dunning": (settings.billing_sweep_seconds, made.sweeping.remind),
        "usage": (settings.billing_usage_seconds, made.metering.run_once),
        "reconcile": (settings.billing_reconcile_seconds, made.reconciler.run_once),
    }
    for name, (seconds, once) in work.items():
        runtime.spawn(f"billing {name}", repeat(name, seconds, once))
