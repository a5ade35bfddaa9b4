"""`make run` and `make reset`: the embedded stack in the foreground, and its data's end."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pulse_local.binaries import BinaryMissingError
from pulse_local.leftovers import end_leftovers
from pulse_local.lock import DataFolderInUseError, DataLock
from pulse_local.ports import DEFAULT_BASE, PortsTakenError, ports_from
from pulse_local.postgres import PostgresSetupError
from pulse_local.processes import PartFailedError
from pulse_local.secrets import SecretsFileError
from pulse_local.seed import (
    SeedError,
    demo_devices,
    enrol_device,
    seed_tenants,
    start_device,
)
from pulse_local.stack import REPOSITORY, Stack
from pulse_local.steps import Step, run_steps
from pulse_local.supervision import Supervisor
from pulse_local.terminal import Terminal, goodbye, welcome

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from pulse_local.seed import DemoDevice

_LOOK_SECONDS = 0.5
_EXPLAINED = (
    BinaryMissingError,
    DataFolderInUseError,
    PartFailedError,
    PortsTakenError,
    PostgresSetupError,
    SecretsFileError,
    SeedError,
    OSError,
)


class Stopped(BaseException):
    """Somebody asked the stack to end; a BaseException, so that no part's handling swallows it."""


def main() -> int:
    """Return 0 after a stop that was asked for, 1 after a failure, 2 for a wrong call."""
    parser = argparse.ArgumentParser(prog="pulse_local", description=__doc__)
    parser.add_argument("command", choices=("run", "reset"))
    command = parser.parse_args().command
    caller = os.environ  # noqa: TID251 - this program starts the services; it is none
    try:
        data, base = _settings(caller)
    except ValueError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command-line program
        return 2
    return _run(data, base) if command == "run" else _reset(data)


def _settings(caller: Mapping[str, str]) -> tuple[Path, int]:
    """Read the three settings of the stack itself; raises ValueError with what to change."""
    if caller.get("PULSE_ENV") != "development":
        raise ValueError(
            "The embedded stack is for development only and starts with PULSE_ENV=development "
            "(`make run` sets it). It has demo log-ins and a broker that is not EMQX."
        )
    base = caller.get("PULSE_PORT_BASE") or str(DEFAULT_BASE)
    if not base.isascii() or not base.isdecimal():
        raise ValueError(f"PULSE_PORT_BASE is {base!r}; it must be a number such as 9400.")
    ports_from(int(base))
    return Path(caller.get("PULSE_DATA_DIR") or REPOSITORY / ".pulse").resolve(), int(base)


def _run(data: Path, base: int) -> int:
    terminal = Terminal(sys.stdout)
    stack = Stack(data, base, report=terminal.step_done)
    _catch_signals()
    try:
        _start_and_watch(stack, terminal)
    except Stopped:
        terminal.say("\nStopping ...")
    except _EXPLAINED as error:
        terminal.say(f"\nPulse could not go on. {error}")
        return 1
    finally:
        _ignore_signals()
        stack.stop()
    terminal.say(goodbye(stack))
    return 0


def _start_and_watch(stack: Stack, terminal: Terminal) -> NoReturn:
    """Run until a signal or a failure ends it."""
    terminal.say(f"Starting Pulse; logs are in {stack.logs}")
    stack.start()
    _start_demo(stack, terminal)
    terminal.say(welcome(stack, terminal.seconds()))
    supervisor = Supervisor(stack, clock=time.monotonic, say=terminal.say)
    while True:
        time.sleep(_LOOK_SECONDS)
        supervisor.look()


def _start_demo(stack: Stack, terminal: Terminal) -> None:
    """Tenants first, then each device by itself."""

    def start(device: DemoDevice) -> None:
        enrol_device(stack, device)
        start_device(stack, device)

    tenants = Step(name="demo tenants", action=lambda: seed_tenants(stack))
    devices = [
        Step(
            name=f"device {device.name}",
            after=frozenset({tenants.name}),
            action=partial(start, device),
        )
        for device in demo_devices(stack)
    ]
    run_steps([tenants, *devices], terminal.step_done)


def _reset(data: Path) -> int:
    terminal = Terminal(sys.stdout)
    if not data.exists():
        terminal.say(f"Nothing to reset: {data} does not exist.")
        return 0
    if not (data / "run").is_dir():
        # PULSE_DATA_DIR may be a typing error; only a folder that a stack made is deleted.
        terminal.say(f"{data} was not made by Pulse (it has no folder `run`); nothing was deleted.")
        return 1
    lock = DataLock(data)
    try:
        lock.take()
    except DataFolderInUseError as error:
        terminal.say(str(error))
        return 1
    end_leftovers(data / "run" / "parts.json")
    shutil.rmtree(data)
    lock.release()
    terminal.say(f"Deleted {data}; the next `make run` starts afresh.")
    return 0


def _catch_signals() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise Stopped

    # SIGHUP: the terminal was closed.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _ignore_signals() -> None:
    # A second Ctrl-C must not leave half of the parts running.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


if __name__ == "__main__":
    sys.exit(main())
