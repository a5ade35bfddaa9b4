"""The dry run tells what a migration would do, and does it to nothing but its own copy."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from tests.parts import ROOT

from pulse_admin.__main__ import main
from pulse_admin.dry_run import rehearse
from pulse_admin.failure import AdminError
from pulse_common import migrations

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts import Postgres

SLOW = "ALTER TABLE devices ADD COLUMN colour text; SELECT pg_sleep(0.3); UPDATE devices SET colour = 'red';"


@pytest.fixture
def original(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"original_{uuid4().hex}"
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO tenants (tenant_id, name) VALUES (gen_random_uuid(), 'T')")
        connection.execute(
            "INSERT INTO devices (tenant_id, device_id, name)"
            " SELECT tenant_id, gen_random_uuid(), 'D' FROM tenants, generate_series(1, 3)"
        )
    monkeypatch.setenv("PULSE_ADMIN_DATABASE_URL", url)
    return url


@pytest.fixture
def one_more(tmp_path: Path) -> Path:
    """Give the migrations that there are, and one that is pending."""
    shutil.copytree(ROOT / "db", tmp_path / "db")
    number = len(migrations.read(ROOT / "db/migrations")) + 1
    (tmp_path / "db/migrations" / f"{number:04}_colour.sql").write_text(SLOW)
    return tmp_path / "db"


def rows(url: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query.encode()).fetchall()


def test_locks_rows_and_times_are_told_and_the_original_is_as_it_was(
    original: str, one_more: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = rows(original, "SELECT * FROM devices ORDER BY device_id")

    assert main(["migrations", "dry-run", "--db", str(one_more)]) == 0

    told = capsys.readouterr().out
    found = re.search(r"devices +3 rows +AccessExclusiveLock +(\d+) ms  stops requests", told)
    assert found, told
    assert int(found[1]) >= 250
    assert rows(original, "SELECT * FROM devices ORDER BY device_id") == before
    assert (
        rows(original, "SELECT FROM pg_database WHERE datname LIKE 'pulse\\_dry\\_run\\_%'") == []
    )


def test_lock_that_stops_requests_too_long_is_a_finding(original: str, one_more: Path) -> None:
    del original
    assert main(["migrations", "dry-run", "--db", str(one_more), "--longest-ms", "100"]) == 1


def test_nothing_pending_says_so(original: str, capsys: pytest.CaptureFixture[str]) -> None:
    del original
    assert main(["migrations", "dry-run", "--db", str(ROOT / "db")]) == 0
    assert capsys.readouterr().out == "nothing to apply\n"


def test_database_that_serves_is_refused(
    original: str, one_more: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(original):
        assert main(["migrations", "dry-run", "--db", str(one_more)]) == 2

    assert "is in use" in capsys.readouterr().err


def test_real_database_is_never_migrated(original: str, one_more: Path) -> None:
    with pytest.raises(AdminError, match="no copy of ours"):
        rehearse(original, one_more)
