"""`make run` as a person runs it: Ctrl-C ends everything, the next run finds all data, a second one says why not."""

from __future__ import annotations

import contextlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from tests.integration.people import ALICE, Person, sign_in
from tests.integration.waiting import eventually

from pulse_local.environments import Environments, minimal
from pulse_local.parts import SERVICES
from pulse_local.ports import find_free_base, ports_from, refuse_taken_ports
from pulse_local.secrets import load_or_create_secrets
from pulse_local.tls import ensure_tls_files

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.integration

MOST_SECONDS = 20.0
DEMO_DEVICES = 3


@dataclass(frozen=True, kw_only=True)
class Run:
    """One `python -m pulse_local run`, in a process of its own."""

    process: subprocess.Popen[str]
    output: Path

    def said(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait_until_ready(self) -> None:
        eventually(self._is_ready, "the stack to be ready", seconds=60)

    def press_ctrl_c(self, times: int = 1) -> float:
        """Interrupt it, and return how many seconds it took to end."""
        began = time.monotonic()
        for _ in range(times):
            self.process.send_signal(signal.SIGINT)
            time.sleep(0.2)
        self.process.wait(MOST_SECONDS + 10)
        return time.monotonic() - began

    def children(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "Ctrl-C stops everything" in self.said()


@pytest.fixture
def folder() -> Iterator[Path]:
    # Not tmp_path, which PostgreSQL's own user could not pass through.
    path = Path(tempfile.mkdtemp(prefix="pulse-"))
    yield path
    shutil.rmtree(path)


@contextlib.contextmanager
def _running(folder: Path, base: int) -> Iterator[Run]:
    output = folder / "output.txt"
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            _COMMAND, env=_environment(folder / "data", base), stdout=file, stderr=file, text=True
        )
    run = Run(process=process, output=output)
    try:
        run.wait_until_ready()
        yield run
    finally:
        if process.poll() is None:
            run.press_ctrl_c()


_COMMAND = [sys.executable, "-m", "pulse_local", "run"]


def _environment(data: Path, base: int) -> dict[str, str]:
    return {
        **minimal(),
        "PULSE_ENV": "development",
        "PULSE_DATA_DIR": str(data),
        "PULSE_PORT_BASE": str(base),
    }


def _environments(data: Path, base: int) -> Environments:
    """Say where the parts of a running stack are, from what it wrote."""
    return Environments(
        ports=ports_from(base),
        secrets=load_or_create_secrets(data / "secrets.json"),
        tls=ensure_tls_files(data / "tls", datetime.fromtimestamp(time.time(), UTC)),
        data=data,
    )


def _second_run(data: Path, base: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        _COMMAND,
        env=_environment(data, base),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


Readings = dict[str, set[int]]


def _readings(where: Environments) -> Readings:
    """Read, as the demo's customer, when each device's readings were taken."""
    person = sign_in(where, ALICE)
    with contextlib.closing(person):
        devices = person.api.get("/api/v2/devices").json()["devices"]
        return {device["id"]: _times(person, device["id"]) for device in devices}


def _times(person: Person, device_id: str) -> set[int]:
    answer = person.api.get(f"/api/v2/devices/{device_id}/telemetry").json()
    return {point["ts"] for point in answer["points"]}


def _all_devices_beyond(known: Readings, where: Environments) -> Readings | None:
    """Give every demo device's readings, once each has one that is not in `known`."""
    found = _readings(where)
    fresh = [device for device, times in found.items() if times - known.get(device, set())]
    return found if len(fresh) == DEMO_DEVICES else None


def test_ctrl_c_ends_everything_and_the_next_run_finds_all_data(folder: Path) -> None:
    base = find_free_base()
    with _running(folder, base) as first:
        where = _environments(folder / "data", base)
        before = eventually(lambda: _all_devices_beyond({}, where), "every device's readings")
        children = first.children()
        seconds = first.press_ctrl_c()

    assert first.process.returncode == 0
    assert "Everything is stopped" in first.said()
    assert seconds < MOST_SECONDS
    assert len(children) > DEMO_DEVICES + len(SERVICES)
    assert [child for child in children if child.is_running()] == []

    with _running(folder, base) as second:
        kept = _readings(where)
        fresh = eventually(lambda: _all_devices_beyond(kept, where), "every device's new readings")
        taken = _second_run(folder / "other data", base)
        in_use = _second_run(folder / "data", find_free_base())
        orphans = second.children()
        # An impatient person presses it twice.
        second.press_ctrl_c(times=2)

    assert set(kept) == set(before)
    assert all(kept[device] >= before[device] for device in before)
    assert set(fresh) == set(before)
    assert taken.returncode == 1
    assert f"port {base + 43} (wanted by edge_https)" in taken.stdout
    assert "PULSE_PORT_BASE=" in taken.stdout
    assert "Traceback" not in taken.stdout + taken.stderr
    assert in_use.returncode == 1
    assert f"(process {second.process.pid})" in in_use.stdout
    assert second.process.returncode == 0
    assert [child for child in orphans if child.is_running()] == []
    refuse_taken_ports(ports_from(base))
