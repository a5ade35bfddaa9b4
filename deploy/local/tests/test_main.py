"""`python -m pulse_local`: what it refuses, and what reset deletes."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pulse_local.environments import minimal
from pulse_local.lock import DataFolderInUseError, DataLock

if TYPE_CHECKING:
    from pathlib import Path


def _call(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pulse_local", command],
        env={**minimal(), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


@pytest.mark.parametrize("command", ["run", "reset"])
@pytest.mark.parametrize("env", ["production", "", "Development"])
def test_nothing_but_development_is_served(tmp_path: Path, command: str, env: str) -> None:
    finished = _call(command, PULSE_ENV=env, PULSE_DATA_DIR=str(tmp_path / "data"))

    assert finished.returncode == 2
    assert "PULSE_ENV=development" in finished.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("base", ["abc", "80", "99999", "8400.5", "²"])
def test_unusable_port_base_is_named(tmp_path: Path, base: str) -> None:
    finished = _call(
        "run", PULSE_ENV="development", PULSE_PORT_BASE=base, PULSE_DATA_DIR=str(tmp_path)
    )

    assert finished.returncode == 2
    assert "PULSE_PORT_BASE" in finished.stderr


def test_reset_deletes_the_data(tmp_path: Path) -> None:
    (tmp_path / "data" / "run").mkdir(parents=True)
    (tmp_path / "data" / "secrets.json").write_text("{}")

    finished = _call("reset", PULSE_ENV="development", PULSE_DATA_DIR=str(tmp_path / "data"))

    assert finished.returncode == 0
    assert not (tmp_path / "data").exists()


def test_reset_without_data_is_no_failure(tmp_path: Path) -> None:
    assert (
        _call("reset", PULSE_ENV="development", PULSE_DATA_DIR=str(tmp_path / "data")).returncode
        == 0
    )


def test_reset_refuses_while_the_stack_runs(tmp_path: Path) -> None:
    lock = DataLock(tmp_path)
    lock.take()

    finished = _call("reset", PULSE_ENV="development", PULSE_DATA_DIR=str(tmp_path))

    lock.release()
    assert finished.returncode == 1
    assert "running" in finished.stdout
    assert (tmp_path / "run").exists()


def test_reset_deletes_no_folder_that_is_not_a_stacks(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("my only copy")

    finished = _call("reset", PULSE_ENV="development", PULSE_DATA_DIR=str(tmp_path))

    assert finished.returncode == 1
    assert (tmp_path / "thesis.txt").exists()


def test_data_folder_has_one_supervisor_at_a_time(tmp_path: Path) -> None:
    first, second = DataLock(tmp_path), DataLock(tmp_path)
    first.take()

    with pytest.raises(DataFolderInUseError, match="already"):
        second.take()

    first.release()
    second.take()
    second.release()
