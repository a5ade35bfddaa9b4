from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import pytest
from services.billing_webhooks.tests.rig import Account, Billing, open_billing
from tests.parts import free_port, wait_for_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import psycopg
    from tests.parts import Postgres

SERVER = Path(__file__).with_name("stripe_server.py")


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[Account]:
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


@pytest.fixture
def account(stripe_server: Account) -> Iterator[Account]:
    yield stripe_server
    stripe_server.set(delay=0.0, late=0.0, fail=0, asked=[], meters={}, sessions={}, features={})


@pytest.fixture
async def billing(
    postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> AsyncIterator[Billing]:
    async with open_billing(postgres, account, superuser) as opened:
        yield opened
