"""A database as the service has it, and people who ask."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.provision_api.tests.fleet.people import People

from pulse_common.tenancy import Database

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import psycopg
    from tests.parts import Postgres


@pytest.fixture
async def people(postgres: Postgres, superuser: psycopg.Connection) -> AsyncIterator[People]:
    database = Database(postgres.url("svc_provision_api"), name="test")
    await database.open()
    yield People(db=database, superuser=superuser, known={})
    await database.close()
