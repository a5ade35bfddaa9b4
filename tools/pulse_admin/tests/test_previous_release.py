"""A migration that breaks the release before it is found; one that only expands is not."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.parts import ROOT

if TYPE_CHECKING:
    from pathlib import Path

FIRST = "CREATE TABLE devices (device_id integer PRIMARY KEY, name text NOT NULL);\n"
CODE = """
import sqlite3

def add(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO devices (device_id, name) VALUES (1, 'Lamp')")
"""
TEST = """
import sqlite3
import subprocess
import sys
from pathlib import Path
from tiny_service import add

def test_device_is_added():
    connection = sqlite3.connect(":memory:")
    for migration in sorted(Path("db/migrations").glob("*.sql")):
        connection.executescript(migration.read_text())
    add(connection)

def test_program_that_a_test_starts_is_of_the_release_too():
    command = [sys.executable, "-P", "-c", "import tiny_service; print(tiny_service.__file__)"]
    printed = subprocess.run(command, check=True, capture_output=True, text=True, env={}).stdout
    assert printed.startswith(str(Path.cwd()))
"""
# Today's code would pass with either: it is the code of then that has to.
NEWER_CODE = CODE.replace("name)", "label)")


def git(repository: Path, *arguments: str) -> None:
    who = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    command = ["git", "-C", str(repository), *who, *arguments]
    subprocess.run(command, check=True, capture_output=True)


def write(repository: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(text)
    git(repository, "add", ".")
    git(repository, "commit", "-q", "-m", "More")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    write(
        tmp_path,
        {
            "pyproject.toml": "[tool.pytest.ini_options]\n",
            "db/migrations/0001_first.sql": FIRST,
            "services/tiny/src/tiny_service.py": CODE,
            "services/tiny/tests/test_tiny.py": TEST,
        },
    )
    return tmp_path


def judged(repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    tool = str(ROOT / "tools/previous_release.py")
    command = [sys.executable, tool, "--repository", str(repository), *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True)


def test_no_release_yet_is_no_failure(repository: Path) -> None:
    answer = judged(repository)

    assert answer.returncode == 0
    assert "no release is tagged yet" in answer.stdout


@pytest.mark.parametrize(
    ("migration", "code"),
    [
        ("ALTER TABLE devices ADD COLUMN label text;", 0),
        ("ALTER TABLE devices RENAME COLUMN name TO label;", 1),
        ("DROP TABLE devices;", 1),
    ],
)
def test_what_breaks_the_release_before_is_found(
    repository: Path, migration: str, code: int
) -> None:
    git(repository, "tag", "v1.0.0")
    write(
        repository,
        {
            "db/migrations/0002_second.sql": migration,
            "services/tiny/src/tiny_service.py": NEWER_CODE,
        },
    )

    answer = judged(repository)

    assert answer.returncode == code, answer.stdout
    assert "v1.0.0" in answer.stdout


def test_newest_release_is_the_one_that_counts(repository: Path) -> None:
    git(repository, "tag", "v1.9.0")
    write(
        repository,
        {
            "db/migrations/0002_second.sql": "ALTER TABLE devices RENAME COLUMN name TO label;",
            "services/tiny/src/tiny_service.py": NEWER_CODE,
        },
    )
    git(repository, "tag", "v1.10.0")

    assert judged(repository).returncode == 0
    assert judged(repository, "v1.9.0").returncode == 1
