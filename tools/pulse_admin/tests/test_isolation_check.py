"""The auditor's command: what it prints, and how it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest
from tests.parts import ROOT

from pulse_admin.__main__ import main
from pulse_common import migrations

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts import Postgres


@pytest.fixture
def own_copy(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> str:
    """Make a database that a test may break, and point the command at it."""
    name = f"audited_{uuid4().hex}"
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    url = postgres.superuser.replace("/pulse", f"/{name}")
    migrations.apply(url, ROOT / "db")
    monkeypatch.setenv("PULSE_ADMIN_DATABASE_URL", url)
    return url


def alter(url: str, statement: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement.encode())


def test_sound_database_passes(own_copy: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["isolation", "check"]) == 0
    assert "tenants are kept apart" in capsys.readouterr().out


def test_each_violation_is_named(own_copy: str, capsys: pytest.CaptureFixture[str]) -> None:
    alter(own_copy, "ALTER TABLE devices NO FORCE ROW LEVEL SECURITY")
    alter(own_copy, "GRANT DELETE ON tenants TO pulse_app")

    assert main(["isolation", "check"]) == 1

    out = capsys.readouterr().out.splitlines()
    assert out == [
        "table devices does not FORCE it",
        "not declared by any migration: grant pulse_app DELETE on tenants",
        "2 violations: tenants are not kept apart.",
    ]


def test_list_of_ones_own_needs_no_trust_in_the_databases(
    own_copy: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(own_copy) as connection:
        declared = tmp_path / "access.txt"
        declared.write_text("\n".join(migrations.access(connection)))
    assert main(["isolation", "check", "--declared", str(declared)]) == 0
    alter(own_copy, "GRANT DELETE ON tenants TO pulse_app")
    alter(own_copy, "COMMENT ON TABLE schema_migrations IS 'grant pulse_app DELETE on tenants'")

    assert main(["isolation", "check", "--declared", str(declared)]) == 1
    assert "pulse_app DELETE on tenants" in capsys.readouterr().out


def test_database_must_be_named_and_is_never_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("PULSE_ADMIN_DATABASE_URL", raising=False)
    assert main(["isolation", "check"]) == 2
    monkeypatch.setenv("PULSE_ADMIN_DATABASE_URL", "postgresql://someone:hush-hush@127.0.0.1:1/x")
    assert main(["isolation", "check"]) == 2

    assert "hush-hush" not in capsys.readouterr().err
