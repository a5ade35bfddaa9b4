"""Supervision: what dies comes back, what keeps dying is given up."""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

import pytest

from pulse_local.environments import minimal
from pulse_local.leftovers import Registry
from pulse_local.processes import Command, Part, PartFailedError
from pulse_local.readiness import at_once
from pulse_local.supervision import Supervisor

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


class OnePart:
    """A stack of one part, as the supervisor sees it."""

    def __init__(self, part: Part) -> None:
        self.parts: Mapping[str, Part] = {part.name: part}


def _part(folder: Path) -> Part:
    command = Command(
        name="sample",
        arguments=(sys.executable, "-c", "import time; time.sleep(60)"),
        environment=minimal(),
        ready=at_once,
    )
    part = Part(command, logs=folder, registry=Registry(folder / "parts.json"))
    part.start()
    return part


def _die(part: Part) -> None:
    os.kill(part.pid, 9)
    while not part.died_unasked():
        time.sleep(0.01)


def test_part_that_died_is_started_again_and_said(tmp_path: Path) -> None:
    part = _part(tmp_path)
    said: list[str] = []
    supervisor = Supervisor(OnePart(part), clock=lambda: 0.0, say=said.append)

    _die(part)
    supervisor.look()

    assert part.is_running()
    assert "sample ended by itself" in said[0]
    part.stop()


def test_part_that_was_stopped_stays_stopped(tmp_path: Path) -> None:
    part = _part(tmp_path)
    part.stop()

    Supervisor(OnePart(part), clock=lambda: 0.0, say=print).look()

    assert not part.is_running()


def test_part_that_keeps_dying_is_given_up(tmp_path: Path) -> None:
    part = _part(tmp_path)
    supervisor = Supervisor(OnePart(part), clock=lambda: 0.0, say=lambda _: None)
    for _ in range(3):
        _die(part)
        supervisor.look()

    _die(part)

    with pytest.raises(PartFailedError, match="SIGKILL"):
        supervisor.look()


def test_rare_deaths_do_not_add_up(tmp_path: Path) -> None:
    part = _part(tmp_path)
    now = iter(range(0, 10_000, 1_000))
    supervisor = Supervisor(OnePart(part), clock=lambda: float(next(now)), say=lambda _: None)

    for _ in range(6):
        _die(part)
        supervisor.look()

    assert part.is_running()
    part.stop()
