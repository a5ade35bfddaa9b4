"""Child processes: their start, their death, their end; with real ones."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from pulse_local.environments import minimal
from pulse_local.leftovers import Registry, end_leftovers
from pulse_local.processes import Command, Part, PartFailedError
from pulse_local.readiness import accepts_tcp, answers_http, at_once, is_written

if TYPE_CHECKING:
    from pathlib import Path

SLEEPER = "import time; time.sleep(60)"
STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
open("up", "w").write("1")
time.sleep(60)
"""
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
open("up", "w").write(str(child.pid))
time.sleep(60)
"""


def _part(folder: Path, program: str, **options: object) -> Part:
    defaults: dict[str, object] = {
        "name": "sample",
        "arguments": (sys.executable, "-c", program),
        "environment": minimal(),
        "ready": at_once,
        "directory": folder,
    }
    command = Command(**{**defaults, **options})  # type: ignore[arg-type] # the test's own fields
    return Part(command, logs=folder / "logs", registry=Registry(folder / "run" / "parts.json"))


def test_stopped_part_is_gone(tmp_path: Path) -> None:
    part = _part(tmp_path, SLEEPER)
    part.start()
    pid = part.pid

    part.stop()

    assert not psutil.pid_exists(pid)
    assert not part.died_unasked()


def test_part_that_ignores_sigterm_is_killed_after_its_time(tmp_path: Path) -> None:
    part = _part(tmp_path, STUBBORN, ready=is_written(tmp_path / "up"), stop_seconds=0.3)
    part.start()
    began = time.monotonic()

    part.stop()

    assert not part.is_running()
    assert 0.2 < time.monotonic() - began < 5


def test_children_of_a_part_end_with_it(tmp_path: Path) -> None:
    part = _part(tmp_path, PARENT, ready=is_written(tmp_path / "up"))
    part.start()
    child = int((tmp_path / "up").read_text())

    part.stop()

    _wait_until_gone(child)


def test_early_death_names_part_log_last_words_and_way_out(tmp_path: Path) -> None:
    part = _part(tmp_path, "raise SystemExit('no such database')", ready=lambda: False)

    with pytest.raises(PartFailedError) as caught:
        part.start()

    message = str(caught.value)
    for wanted in ("sample", "exit code 1", str(part.log), "no such database", "make reset"):
        assert wanted in message


def test_obituary_does_not_repeat_an_earlier_runs_words(tmp_path: Path) -> None:
    part = _part(tmp_path, "raise SystemExit('fresh')", ready=lambda: False)
    part.log.parent.mkdir()
    part.log.write_text("stale\n")

    with pytest.raises(PartFailedError, match="fresh") as caught:
        part.start()

    assert "stale" not in str(caught.value)


def test_part_that_never_becomes_ready_is_reported(tmp_path: Path) -> None:
    part = _part(tmp_path, SLEEPER, ready=lambda: False, ready_seconds=0.2)

    with pytest.raises(PartFailedError, match="not ready within"):
        part.start()

    part.stop()


def test_kill_and_restart_give_a_new_process(tmp_path: Path) -> None:
    part = _part(tmp_path, SLEEPER)
    part.start()
    first = part.pid

    part.kill()
    killed_is_no_surprise = not part.died_unasked()
    part.start()
    second = part.pid
    part.restart()

    third = part.pid
    part.stop()
    assert killed_is_no_surprise
    assert len({first, second, third}) == 3


def test_death_that_nobody_asked_for_is_noticed(tmp_path: Path) -> None:
    part = _part(tmp_path, SLEEPER)
    part.start()

    os.kill(part.pid, 9)

    _wait_until_gone(part.pid)
    assert part.died_unasked()
    assert "SIGKILL" in part.obituary()


def test_closed_part_is_not_started_by_a_late_thread(tmp_path: Path) -> None:
    part = _part(tmp_path, SLEEPER)

    part.close()

    with pytest.raises(PartFailedError, match="stopping"):
        part.start()


def test_waiting_for_readiness_ends_when_the_part_is_closed(tmp_path: Path) -> None:
    part = _part(tmp_path, SLEEPER, ready=lambda: False)
    threading.Timer(0.2, part.close).start()

    with pytest.raises(PartFailedError):
        part.start()

    assert not part.is_running()


def test_log_is_private_and_kept_across_starts(tmp_path: Path) -> None:
    part = _part(tmp_path, "print('once more')")
    for _ in range(2):
        part.launch()
        _wait_until_gone(part.pid)
        part.stop()

    assert part.log.read_text().splitlines() == ["once more"] * 2
    assert part.log.stat().st_mode & 0o077 == 0


def test_leftovers_of_a_killed_supervisor_are_ended(tmp_path: Path) -> None:
    part = _part(tmp_path, SLEEPER)
    part.start()

    ended = end_leftovers(tmp_path / "run" / "parts.json")

    assert ended == ["sample"]
    assert not part.is_running()


def test_process_that_got_a_remembered_number_later_is_left_alone(tmp_path: Path) -> None:
    remembered = tmp_path / "parts.json"
    remembered.write_text(f'{{"sample": [{os.getpid()}, 1.0]}}')

    assert end_leftovers(remembered) == []


def test_readiness_is_false_where_nobody_listens(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        accepted = accepts_tcp(port)()

    assert accepted
    assert not accepts_tcp(port)()
    assert not answers_http(port, "/readyz")()
    assert not is_written(tmp_path / "missing")()


def _wait_until_gone(pid: int) -> None:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")
