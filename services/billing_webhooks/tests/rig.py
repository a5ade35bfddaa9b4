"""What billing's tests stand on: a Stripe account that answers over HTTP, the service's parts, and signed events."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import httpx2
import stripe
from services.billing_webhooks.tests.stripe_spec import FIXTURES, VERSION, example
from tests.log_grep import AMOUNT, PERSON
from tests.parts import free_port, wait_for_port

from billing_webhooks.app import Parts, build, create_app, load_plans
from billing_webhooks.settings import Settings
from pulse_common.health import Readiness
from pulse_common.settings import load
from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

    import psycopg
    from starlette.applications import Starlette
    from tests.parts import Postgres

SERVER = Path(__file__).with_name("stripe_server.py")
KEY = "sk_test_a_key_of_some_length"
CURRENT, PREVIOUS = "whsec_current_secret", "whsec_previous_secret"
PRICES = {"price_starter": "starter", "price_business": "business"}
_numbers = count(1)


@dataclass
class HeldClock:
    """Stands still until it is told to move."""

    now: datetime = field(default_factory=lambda: datetime.now(UTC))  # noqa: TID251 -- Stripe's own is the system's

    def __call__(self) -> datetime:
        return self.now

    def move(self, **step: float) -> None:
        self.now += timedelta(**step)


@dataclass(frozen=True)
class Account:
    """The account at localstripe, as its owner and as time itself would use it."""

    url: str
    http: httpx2.Client

    def post(self, path: str, **data: str) -> dict[str, Any]:
        answer = self.http.post(f"{self.url}{path}", data=data, auth=(KEY, ""))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def make_prices(self) -> None:
        for price in [*PRICES, "price_unknown"]:
            self.post(
                "/v1/plans", id=price, amount="0", currency="eur", interval="month", name=price
            )

    def make_customer(self, tenant: UUID | None = None, **data: str) -> str:
        if tenant is not None:
            data["metadata[tenant_id]"] = str(tenant)
        person = {name: PERSON[name] for name in ("name", "email", "phone")}
        address = {"address[line1]": PERSON["address"]}
        made = self.post("/v1/customers", description=PERSON["card"], **person, **address, **data)
        return str(made["id"])

    def subscribe(self, customer: str, price: str = "price_starter") -> str:
        made = self.post("/v1/subscriptions", customer=customer, **{"items[0][plan]": price})
        return str(made["id"])

    def change_plan(self, subscription: str, price: str) -> None:
        self.post(f"/v1/subscriptions/{subscription}", **{"items[0][plan]": price})

    def change(self, key: str, **fields: object) -> None:
        self.http.post(f"{self.url}/_config/test/change/{key}", json=fields).raise_for_status()

    def set_status(self, subscription: str, status: str) -> None:
        self.change(f"subscription:{subscription}", status=status)

    def forget(self, key: str) -> None:
        self.http.post(f"{self.url}/_config/test/forget/{key}").raise_for_status()

    def set(self, **state: object) -> None:
        self.http.post(f"{self.url}/_config/test/state", json=state).raise_for_status()

    def state(self) -> dict[str, Any]:
        found: dict[str, Any] = self.http.get(f"{self.url}/_config/test/state").json()
        return found

    def asked(self, what: str) -> int:
        return sum(what in line for line in self.state()["asked"])


@contextmanager
def running_account() -> Iterator[Account]:
    """Start an account that sells ``PRICES``, in a process of its own on loopback."""
    port = free_port()
    process = subprocess.Popen([sys.executable, str(SERVER), str(port)])
    try:
        wait_for_port(port)
        with httpx2.Client() as http:
            account = Account(f"http://127.0.0.1:{port}", http)
            account.make_prices()
            yield account
    finally:
        process.kill()
        process.wait()


def event_body(
    event_type: str, about: Mapping[str, object], *, event_id: str | None = None, **more: object
) -> str:
    """Make an event as Stripe sends it: its object and its envelope follow Stripe's OpenAPI.

    One of an older ``api_version`` follows an older document, and is taken as it is.
    """
    is_older = more.get("api_version", VERSION) != VERSION
    found = dict(about) if is_older else example(str(about["object"]), **about)
    envelope = {
        "id": event_id or f"evt_{uuid4().hex}{next(_numbers)}",
        "api_version": VERSION,
        "created": int(time.time()),
        "livemode": False,
        "type": event_type,
        "data": {"object": found},
        **more,
    }
    return json.dumps(example("event", **envelope))


def subscription_event(
    subscription: str,
    customer: str,
    event_type: str = "customer.subscription.updated",
    **more: Any,  # noqa: ANN401
) -> str:
    """Make an event that points at a subscription, whose payload lies about everything but the ids."""
    about = pointing(event_type, subscription, customer)
    return event_body(event_type, about, **more)


def pointing(event_type: str, subscription: str, customer: str) -> dict[str, Any]:
    """Give the object of such an event."""
    kind, _, _ = event_type.rpartition(".")
    if kind == "invoice":
        details = {"subscription": subscription, "metadata": None}
        parent = {
            "type": "subscription_details",
            "quote_details": None,
            "subscription_details": details,
        }
        private = {
            "customer_name": PERSON["name"],
            "customer_email": PERSON["email"],
            "description": PERSON["card"],
            "amount_due": AMOUNT,
        }
        about = {"object": "invoice", "id": "in_7", "customer": customer, "parent": parent}
        return {**private, **about}
    if kind == "checkout.session":
        return {"object": kind, "customer": customer, "subscription": subscription}
    if kind == "charge.dispute":
        return {"object": "dispute", "id": "dp_1", "charge": "ch_1"}
    if kind == "customer":
        named = {"name": PERSON["name"], "email": PERSON["email"]}
        return {"object": "customer", "id": customer, **named}
    items = json.loads(json.dumps(FIXTURES["subscription"]["items"]))
    items["data"][0]["price"]["id"] = "price_business"
    return {
        "object": "subscription",
        "id": subscription,
        "customer": customer,
        "status": "active",
        "items": items,
    }


def sign(body: str, secret: str = CURRENT, age: int = 0) -> bytes:
    timestamp = int(time.time()) - age
    header = stripe.WebhookSignature.generate_signature_header(body, secret, timestamp)
    return str(header).encode()


@dataclass(frozen=True)
class Billing:
    """The service's parts on a real database, and a door to its HTTP surface."""

    db: Database
    parts: Parts
    app: Starlette
    account: Account
    clock: HeldClock
    superuser: psycopg.Connection

    async def send(self, body: str, signature: bytes | None = None) -> int:
        transport = httpx2.ASGITransport(self.app)
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing") as client:
            headers = {b"stripe-signature": signature or sign(body)}
            answer = await client.post("/webhooks/stripe", content=body, headers=headers)
            return answer.status_code

    def make_tenant(self) -> UUID:
        tenant = uuid4()
        self.superuser.execute(
            "INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Tenant')", [tenant]
        )
        return tenant

    async def make_customer(self) -> tuple[UUID, str]:
        tenant = self.make_tenant()
        return tenant, self.account.make_customer(tenant)

    async def make_subscriber(self, price: str = "price_starter") -> tuple[UUID, str, str]:
        tenant, customer = await self.make_customer()
        subscription = self.account.subscribe(customer, price)
        assert await self.send(subscription_event(subscription, customer)) == 200
        return tenant, customer, subscription

    def all(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        return list(self.superuser.execute(query, list(values)).fetchall())

    def held(self, tenant: UUID) -> tuple[Any, ...] | None:
        """Return plan, access and devices of what holds."""
        rows = self.all(
            "SELECT plan_id, access, devices FROM billing_entitlements WHERE tenant_id = %s", tenant
        )
        return rows[0] if rows else None

    def changes(self, tenant: UUID) -> int:
        return len(
            self.all(
                "SELECT 1 FROM outbox WHERE tenant_id = %s AND subject LIKE '%%entitlements_changed'",
                tenant,
            )
        )

    def notices(self, tenant: UUID) -> list[str]:
        rows = self.all(
            "SELECT payload ->> 'kind' FROM outbox WHERE tenant_id = %s AND subject LIKE '%%billing.notice'"
            " ORDER BY position",
            tenant,
        )
        return [row[0] for row in rows]


def settings_of(postgres_url: str, stripe_url: str, **more: str) -> Settings:
    return load(
        Settings,
        {
            "PULSE_ENV": "development",
            "HTTP_PORT": "8080",
            "DATABASE_URL": postgres_url,
            "NATS_URL": "nats://127.0.0.1:1",
            "NATS_USER": "x",
            "NATS_PASSWORD": "x" * 16,
            "STRIPE_API_KEY": KEY,
            "STRIPE_API_BASE": stripe_url,
            "STRIPE_WEBHOOK_SECRETS": f"{CURRENT},{PREVIOUS}",
            "STRIPE_PRICES": ",".join(f"{price}={plan}" for price, plan in PRICES.items()),
            "STRIPE_TIMEOUT_SECONDS": "2",
            "PUBLIC_URL": "https://pulse.example",
            **more,
        },
    )


@asynccontextmanager
async def open_billing(
    postgres: Postgres, account: Account, superuser: psycopg.Connection, **more: str
) -> AsyncIterator[Billing]:
    settings = settings_of(postgres.url("svc_billing_webhooks"), account.url, **more)
    database = Database(
        settings.database_url.get_secret_value(), name="billing test", max_connections=20
    )
    await database.open()
    try:
        clock = HeldClock()
        made = build(database, settings, await load_plans(database, settings), clock)
        app = create_app(webhooks=made.webhooks, readiness=Readiness())
        yield Billing(database, made, app, account, clock, superuser)
        await made.close()
    finally:
        await database.close()
