"""What a reviewer reads in db/schema.sql and db/access.txt is what the migrations add up to."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from tests.parts import ROOT
from tools.write_schema import facts, schema

from pulse_common import migrations

if TYPE_CHECKING:
    from tests.parts import Postgres


@pytest.fixture
def migrated(postgres: Postgres) -> str:
    """Migrate a database of its own: in the shared one, tests have made partitions."""
    name = f"summed_{uuid4().hex}"
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    return url


def test_schema_equals_the_sum_of_migrations(migrated: str) -> None:
    assert schema(migrated) == (ROOT / "db" / "schema.sql").read_text(), "run `make schema`"


def test_list_of_access_equals_the_sum_of_migrations(migrated: str) -> None:
    assert facts(migrated) == (ROOT / "db" / "access.txt").read_text(), "run `make schema`"


def test_hand_made_column_is_a_difference(migrated: str) -> None:
    with psycopg.connect(migrated, autocommit=True) as connection:
        connection.execute("ALTER TABLE devices ADD COLUMN note text")

    assert schema(migrated) != (ROOT / "db" / "schema.sql").read_text()
