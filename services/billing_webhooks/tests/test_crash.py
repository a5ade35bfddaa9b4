"""Killed (-9) at each point between claim, handling and commit, the service loses no event and does none twice.

This proves what a dead process leaves behind; what a power cut leaves is PostgreSQL's own promise (synchronous commit).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx2
import psycopg
import pytest
from services.billing_webhooks.tests.rig import CURRENT, KEY, sign, subscription_event
from tests.parts import PASSWORD, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from services.billing_webhooks.tests.rig import Account
    from tests.parts import Nats, Postgres

pytestmark = pytest.mark.timeout(120)


class Service:
    """The service as a process of its own."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment = environment
        self.log = log
        self.url = f"http://127.0.0.1:{environment['HTTP_PORT']}"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "billing_webhooks"], env=self.environment, stdout=log
            )
        _eventually(self._ready)

    def _ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz").status_code == 200
        except httpx2.HTTPError:
            return False

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def send(self, body: str) -> int:
        headers = {b"stripe-signature": sign(body)}
        url = f"{self.url}/webhooks/stripe"
        return httpx2.post(url, content=body, headers=headers, timeout=20).status_code

    def send_in_vain(self, body: str) -> threading.Thread:
        """Deliver an event whose answer will never come."""

        def deliver() -> None:
            try:
                self.send(body)
            except httpx2.HTTPError:
                return

        thread = threading.Thread(target=deliver)
        thread.start()
        return thread


@pytest.fixture
def service(
    postgres: Postgres, nats_server: Nats, account: Account, tmp_path: Path
) -> Iterator[Service]:
    environment = {
        "PATH": os.defpath,
        "PULSE_ENV": "development",
        "HTTP_PORT": str(free_port()),
        "DATABASE_URL": postgres.url("svc_billing_webhooks"),
        "NATS_URL": nats_server.url,
        "NATS_USER": "test",
        "NATS_PASSWORD": PASSWORD,
        "STRIPE_API_KEY": KEY,
        "STRIPE_API_BASE": account.url,
        "STRIPE_WEBHOOK_SECRETS": CURRENT,
        "STRIPE_PRICES": "price_starter=starter,price_business=business",
        # Nobody but the delivery repairs anything here.
        "BILLING_RECONCILE_SECONDS": "100000",
        "BILLING_USAGE_SECONDS": "100000",
        "BILLING_SWEEP_SECONDS": "100000",
    }
    made = Service(environment, tmp_path / "service.log")
    made.start()
    # The first reconciliation is over before the account has anything to find.
    _eventually(lambda: "billing_reconciled" in made.log.read_text())
    yield made
    made.kill()
    # For the search of all logs at the end of the run.
    sys.stdout.write(made.log.read_text())


@contextmanager
def held(postgres: Postgres, table: str) -> Iterator[None]:
    """Keep every writer of ``table`` waiting."""
    with psycopg.connect(postgres.superuser) as connection:
        connection.execute(f"LOCK TABLE {table} IN SHARE MODE")
        yield
        connection.rollback()


def _eventually(what: Callable[[], Any], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def waiting_for(superuser: psycopg.Connection, table: str) -> bool:
    query = (
        "SELECT 1 FROM pg_locks JOIN pg_class c ON c.oid = relation"
        " WHERE NOT granted AND c.relname = %s"
    )
    return superuser.execute(query, [table]).fetchone() is not None


@pytest.mark.parametrize(
    ("point", "table"),
    [
        ("before the claim", "stripe_events"),
        ("after the claim, before Stripe answered", None),
        ("before the subscription is stored", "billing_subscriptions"),
        ("before the limits are stored", "billing_entitlements"),
        ("after everything but the outgoing event", "outbox"),
    ],
)
def test_an_event_whose_handling_was_killed_takes_effect_once_when_it_comes_again(
    service: Service,
    postgres: Postgres,
    account: Account,
    superuser: psycopg.Connection,
    point: str,
    table: str | None,
) -> None:
    tenant, customer, subscription = subscriber(account, superuser)
    body = subscription_event(subscription, customer, event_id=f"evt_{tenant.hex}")
    link(superuser, tenant, customer)
    if table is None:
        account.set(delay=30.0)
        delivery = service.send_in_vain(body)
        _eventually(lambda: account.asked(f"/v1/subscriptions/{subscription}"))
        service.kill()
        account.set(delay=0.0)
    else:
        with held(postgres, table):
            delivery = service.send_in_vain(body)
            _eventually(lambda: waiting_for(superuser, table))
            service.kill()
    delivery.join()
    _eventually(lambda: not sessions(superuser))
    left = effects(superuser, tenant)

    service.start()
    answers = [service.send(body) for _ in range(3)]

    assert left == (0, 0, 0), f"something was left: killed {point}"
    assert answers == [200] * 3
    assert effects(superuser, tenant) == (1, 1, 1)


def test_an_event_that_was_committed_and_never_acknowledged_is_not_done_again(
    service: Service, account: Account, superuser: psycopg.Connection
) -> None:
    tenant, customer, subscription = subscriber(account, superuser)
    body = subscription_event(subscription, customer, event_id=f"evt_{tenant.hex}")
    delivery = service.send_in_vain(body)
    _eventually(lambda: effects(superuser, tenant)[0])
    service.kill()
    delivery.join()

    service.start()

    assert service.send(body) == 200
    assert effects(superuser, tenant) == (1, 1, 1)


def test_use_whose_metering_was_killed_after_stripe_took_it_is_metered_once(
    service: Service, account: Account, superuser: psycopg.Connection
) -> None:
    tenant, customer, _ = subscriber(account, superuser)
    link(superuser, tenant, customer)
    use_yesterday(superuser, tenant, 3)
    service.kill()
    account.set(late_meter=30.0)
    service.start()
    _eventually(lambda: metered(account, customer))
    service.kill()
    account.set(late_meter=0.0)
    _eventually(lambda: not sessions(superuser))
    left = sent(superuser, tenant)

    service.start()
    _eventually(lambda: sent(superuser, tenant) == 2)

    assert left == 0
    assert metered(account, customer) == {"pulse_messages": "3", "pulse_device_months": "1"}


def use_yesterday(superuser: psycopg.Connection, tenant: object, messages: int) -> None:
    device = uuid4()
    superuser.execute(
        "INSERT INTO devices (tenant_id, device_id, name) VALUES (%s, %s, 'd')", [tenant, device]
    )
    superuser.execute(
        "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
        " SELECT %s, %s, now() - interval '1 day', gen_random_uuid(), '{}', now() FROM generate_series(1, %s)",
        [tenant, device, messages],
    )
    superuser.execute(
        "INSERT INTO billing_usage (tenant_id, metric, day, amount)"
        " VALUES (%s, 'messages', (now() AT TIME ZONE 'UTC')::date - 1, %s)",
        [tenant, messages],
    )
    superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
        " VALUES (%s, %s, now(), now(), '{}')",
        [tenant, device],
    )


def metered(account: Account, customer: str) -> dict[str, str]:
    """Say what each meter was sent, each identifier once, as Stripe counts them."""
    return {
        event["event_name"]: event["payload"]["value"]
        for event in account.state()["meters"].values()
        if event["payload"]["stripe_customer_id"] == customer
    }


def sent(superuser: psycopg.Connection, tenant: object) -> int:
    query = "SELECT count(*) FROM billing_meter_events WHERE tenant_id = %s AND sent_at IS NOT NULL"
    row = superuser.execute(query, [tenant]).fetchone()
    assert row is not None
    return int(row[0])


def subscriber(account: Account, superuser: psycopg.Connection) -> tuple[Any, str, str]:
    tenant = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'T')", [tenant])
    customer = account.make_customer(tenant)
    return tenant, customer, account.subscribe(customer)


def link(superuser: psycopg.Connection, tenant: object, customer: str) -> None:
    superuser.execute(
        "INSERT INTO billing_customers (tenant_id, customer_id, livemode) VALUES (%s, %s, false)",
        [tenant, customer],
    )


def sessions(superuser: psycopg.Connection) -> bool:
    """Whether PostgreSQL still works for the dead process."""
    query = "SELECT 1 FROM pg_stat_activity WHERE usename = 'svc_billing_webhooks'"
    return superuser.execute(query).fetchone() is not None


def effects(superuser: psycopg.Connection, tenant: Any) -> tuple[int, ...]:  # noqa: ANN401 -- a UUID
    """Count claims, and changes to the bought plan, and what was told of them, whoever was first to make them.

    After a start the reconciler may be faster than the delivery that comes again.
    """
    counts = (
        ("SELECT count(*) FROM stripe_events WHERE event_id = %s", f"evt_{tenant.hex}"),
        (
            "SELECT count(*) FROM billing_changes WHERE plan_id = 'starter' AND tenant_id = %s",
            tenant,
        ),
        (
            "SELECT count(*) FROM outbox WHERE payload ->> 'plan' = 'starter' AND tenant_id = %s",
            tenant,
        ),
    )
    return tuple(int(superuser.execute(q, [v]).fetchone()[0]) for q, v in counts)  # type: ignore[index]
