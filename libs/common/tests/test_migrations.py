from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING
from uuid import uuid4

import psycopg
import pytest

from pulse_common.migrations import MigrationError, apply, read

if TYPE_CHECKING:
    from pathlib import Path

    from tests.parts import Postgres


@pytest.fixture
def empty_database(postgres: Postgres) -> str:
    name = f"migrated_{uuid4().hex}"
    with psycopg.connect(postgres.superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return postgres.superuser.replace("/pulse", f"/{name}")


@pytest.fixture
def db_dir(tmp_path: Path) -> Path:
    (tmp_path / "migrations").mkdir()
    (tmp_path / "roles.sql").write_text("SELECT 1")
    return tmp_path


def add(db_dir: Path, name: str, sql: str) -> None:
    (db_dir / "migrations" / name).write_text(sql)


def tables(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row[0] for row in rows}


def test_new_migrations_are_applied_once_in_order(empty_database: str, db_dir: Path) -> None:
    add(db_dir, "0001_one.sql", "CREATE TABLE one (id int)")
    assert apply(empty_database, db_dir) == ["0001_one.sql"]
    add(db_dir, "0002_two.sql", "ALTER TABLE one RENAME TO two")

    assert apply(empty_database, db_dir) == ["0002_two.sql"]
    assert apply(empty_database, db_dir) == []
    assert tables(empty_database) == {"two", "schema_migrations"}


def test_failed_migration_leaves_nothing_of_itself(empty_database: str, db_dir: Path) -> None:
    add(db_dir, "0001_one.sql", "CREATE TABLE one (id int)")
    add(db_dir, "0002_two.sql", "CREATE TABLE two (id int); SELECT 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        apply(empty_database, db_dir)

    assert tables(empty_database) == {"one", "schema_migrations"}


def test_edited_migration_stops_everything(empty_database: str, db_dir: Path) -> None:
    add(db_dir, "0001_one.sql", "CREATE TABLE one (id int)")
    apply(empty_database, db_dir)
    add(db_dir, "0001_one.sql", "CREATE TABLE one (id bigint)")
    add(db_dir, "0002_two.sql", "CREATE TABLE two (id int)")

    with pytest.raises(MigrationError, match=r"0001_one.sql was edited"):
        apply(empty_database, db_dir)

    assert "two" not in tables(empty_database)


def test_lost_migration_stops_everything(empty_database: str, db_dir: Path) -> None:
    add(db_dir, "0001_one.sql", "CREATE TABLE one (id int)")
    apply(empty_database, db_dir)
    (db_dir / "migrations" / "0001_one.sql").unlink()

    with pytest.raises(MigrationError, match="not among the files"):
        apply(empty_database, db_dir)


@pytest.mark.parametrize("names", [["0002_x.sql"], ["0001_a.sql", "0003_b.sql"], ["1_x.sql"]])
def test_misnumbered_files_are_refused(db_dir: Path, names: list[str]) -> None:
    for name in names:
        add(db_dir, name, "SELECT 1")

    with pytest.raises(MigrationError):
        read(db_dir / "migrations")


def test_runners_that_race_apply_each_migration_once(empty_database: str, db_dir: Path) -> None:
    add(db_dir, "0001_one.sql", "SELECT pg_sleep(0.2); CREATE TABLE one (id int)")

    with concurrent.futures.ThreadPoolExecutor() as pool:
        runs = [pool.submit(apply, empty_database, db_dir) for _ in range(3)]
        done = [name for run in runs for name in run.result()]

    assert done == ["0001_one.sql"]
