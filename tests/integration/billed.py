"""A stack that bills: its Stripe is localstripe on loopback, and the tests sign and send what it would tell."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import psycopg
from services.billing_webhooks.tests.rig import (
    KEY,
    PRICES,
    Account,
    running_account,
    sign,
    subscription_event,
)
from tests.integration.people import edge_client
from tests.integration.waiting import eventually
from tests.integration.world import World

from pulse_local.seed import seed_tenants
from pulse_local.throwaway import throwaway_stack

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from uuid import UUID

#: What a tenant has that pays nothing: so little here that every limiter shows whether it holds.
FREE = "UPDATE billing_plans SET devices = 1, messages_per_second = 0, routes = 0 WHERE plan_id = 'free'"


@dataclass(frozen=True)
class Billed:
    """The running platform, and the account at Stripe that bills its tenants."""

    world: World
    account: Account

    def tell(self, event_type: str, subscription: str, customer: str) -> None:
        """Send an event through the edge, as Stripe does."""
        body = subscription_event(subscription, customer, event_type)
        signature = sign(body, self.world.stack.secrets.stripe_webhook).decode()
        with edge_client(self.world.stack.environments, **{"stripe-signature": signature}) as http:
            answer = http.post("/webhooks/stripe", content=body)
        assert answer.status_code == 200, answer.text

    def buy(self, customer: str, price: str) -> str:
        subscription = self.account.subscribe(customer, price)
        self.tell("customer.subscription.created", subscription, customer)
        return subscription

    def set_status(self, subscription: str, customer: str, status: str) -> None:
        self.account.set_status(subscription, status)
        self.tell("customer.subscription.updated", subscription, customer)

    def reconcile(self) -> dict[str, Any]:
        """Run the command that an operator would, and return what it says."""
        done = subprocess.run(
            [sys.executable, "-m", "billing_webhooks.reconcile"],
            env={
                **self.world.stack.environments.of_service("billing_webhooks"),
                **billing_settings(self.account),
            },
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.world.superuser, autocommit=True) as connection:
            found = connection.execute(query, list(values))
            return list(found.fetchall()) if found.description else []

    def await_access(self, tenant: UUID | str, access: str) -> None:
        query = "SELECT 1 FROM billing_entitlements WHERE tenant_id = %s AND access = %s"
        eventually(lambda: self.all(query, tenant, access) or None, f"access {access}")


def billing_settings(account: Account) -> dict[str, str]:
    return {
        "STRIPE_API_KEY": KEY,
        "STRIPE_API_BASE": account.url,
        "STRIPE_PRICES": ",".join(f"{price}={plan}" for price, plan in PRICES.items()),
    }


@contextmanager
def billed_stack(artifacts: Path) -> Iterator[Billed]:
    with running_account() as account:
        overrides = {"billing_webhooks": billing_settings(account)}
        logs = artifacts / "logs-billed"
        with throwaway_stack(logs=logs, overrides=overrides) as stack:
            billed = Billed(World(stack=stack, folder=stack.data / "devices-of-tests"), account)
            billed.all(FREE)
            seed_tenants(stack)
            yield billed
