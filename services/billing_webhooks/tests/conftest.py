from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.billing_webhooks.tests.rig import Account, Billing, open_billing, running_account

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    import psycopg
    from tests.parts import Postgres


@pytest.fixture(scope="session")
def stripe_server() -> Iterator[Account]:
    with running_account() as account:
        yield account


@pytest.fixture
def account(stripe_server: Account) -> Iterator[Account]:
    yield stripe_server
    nothing: dict[str, object] = {"meters": {}, "sessions": {}, "features": {}, "objects": {}}
    more: dict[str, object] = {"late_meter": 0.0, "unmetered": [], "keys": {}}
    stripe_server.set(delay=0.0, late=0.0, fail=0, asked=[], sent=[], **nothing, **more)


@pytest.fixture
async def billing(
    postgres: Postgres, account: Account, superuser: psycopg.Connection
) -> AsyncIterator[Billing]:
    async with open_billing(postgres, account, superuser) as opened:
        yield opened
