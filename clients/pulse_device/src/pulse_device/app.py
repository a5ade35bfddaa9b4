"""The four commands, put together from their parts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_device.backoff import Backoff
from pulse_device.enrolment import enrol
from pulse_device.errors import LocalFilesError, NotEnrolledError
from pulse_device.identity import broker_tls, load_identity
from pulse_device.journal import Journal, timestamp
from pulse_device.link import Link
from pulse_device.mqtt_client import make_client
from pulse_device.outbox import Outbox
from pulse_device.provisioning import server_tls
from pulse_device.renewal import Renewal
from pulse_device.rescue import Rescuer, rescue
from pulse_device.running import Parts, Runner
from pulse_device.sampling import Sampler
from pulse_device.sources import LineSource, MachineSource, Source, SourceThread
from pulse_device.status import Status, as_json, as_text
from pulse_device.trust import Trust
from pulse_device.wake import Waker
from pulse_device.ways import chosen_way

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pulse_device.directory import DeviceDirectory
    from pulse_device.journal import Writer
    from pulse_device.names import DeviceName
    from pulse_device.ways import EnrolOptions

GOOD = 0
NOT_GOOD = 1


@dataclass(frozen=True, slots=True)
class Terminal:
    """What the process gives us: streams, time, the environment's token."""

    open_stdin: Callable[[], io.FileIO]
    stdout: Writer
    stderr: Writer
    clock: Callable[[], datetime]
    environment_token: str | None


@dataclass(frozen=True, slots=True)
class RunOptions:
    interval_seconds: float
    from_stdin: bool
    protocol: str
    exit_when_refused: bool
    trust_interval_seconds: float
    server_ca: Path | None = None
    """Who signed the server's certificate, for a rescue; the system's authorities when None."""


def enroll_command(
    terminal: Terminal,
    *,
    directory: DeviceDirectory,
    options: EnrolOptions,
) -> int:
    way = chosen_way(terminal, options)
    directory.prepare()
    enrolled = enrol(
        directory=directory, way=way, clock=terminal.clock, maker_key=options.maker_key
    )
    until = timestamp(enrolled.lifetime.not_after)
    terminal.stdout.write(
        f"enrolled device {enrolled.name.device_id} of tenant {enrolled.name.tenant_id} "
        f"until {until} in {directory.path}\n"
    )
    return GOOD


def rescue_command(terminal: Terminal, *, directory: DeviceDirectory, ca_file: Path | None) -> int:
    lifetime = rescue(directory=directory, tls=server_tls(ca_file), now=terminal.clock())
    directory.commit_next()
    terminal.stdout.write(f"rescued until {timestamp(lifetime.not_after)} in {directory.path}\n")
    return GOOD


def status_command(terminal: Terminal, *, directory: DeviceDirectory, show: str) -> int:
    try:
        status = Status(identity=load_identity(directory), now=terminal.clock())
    except NotEnrolledError as error:
        missing = {"enrolled": False, "good": False, "problems": [str(error)]}
        text = json.dumps(missing, indent=2) if show == "json" else str(error)
        terminal.stdout.write(f"{text}\n")
        return NOT_GOOD
    terminal.stdout.write(f"{as_json(status) if show == 'json' else as_text(status)}\n")
    return NOT_GOOD if status.problems else GOOD


def run_command(terminal: Terminal, *, directory: DeviceDirectory, options: RunOptions) -> int:
    identity = load_identity(directory)
    if not identity.key_is_private:
        raise LocalFilesError(f"others can use the key: chmod 600 {directory.key}")
    name = identity.config.name
    journal = Journal(stream=terminal.stderr, clock=terminal.clock)
    with contextlib.closing(Waker()) as waker:
        outbox = Outbox(on_change=waker.wake)
        tls, fraction = broker_tls(directory), random.SystemRandom().random
        renewal = Renewal(
            identity=identity, tls=tls, journal=journal, clock=terminal.clock, fraction=fraction
        )
        link = Link(
            client=make_client(client_id=name.device_id, protocol=options.protocol, tls=tls),
            name=name,
            broker=identity.config.broker,
            outbox=outbox,
            journal=journal,
            renewal=renewal,
            trust=Trust(
                directory=directory,
                hurry=renewal.hurry,
                journal=journal,
                clock=terminal.clock,
                fraction=fraction,
                every_seconds=options.trust_interval_seconds,
            ),
        )
        parts = Parts(
            link=link,
            outbox=outbox,
            source=SourceThread(_source(terminal, options, name, outbox, journal), outbox),
            waker=waker,
            journal=journal,
            renewal=renewal,
            rescuer=Rescuer(
                directory=directory,
                ca_file=options.server_ca,
                renewal=renewal,
                journal=journal,
                clock=terminal.clock,
                fraction=fraction,
            ),
            clock=terminal.clock,
            fraction=fraction,
            backoff=Backoff(),
        )
        runner = Runner(parts, exit_when_refused=options.exit_when_refused)
        with _stopped_by_signals(runner.stop):
            runner.run()
    return GOOD


def _source(
    terminal: Terminal, options: RunOptions, name: DeviceName, outbox: Outbox, journal: Journal
) -> Source:
    if not options.from_stdin:
        return MachineSource(
            sampler=Sampler(),
            interval_seconds=options.interval_seconds,
            topic=name.telemetry_topic,
            outbox=outbox,
            journal=journal,
            clock=terminal.clock,
        )
    stdin = terminal.open_stdin()
    is_file = stat.S_ISREG(os.fstat(stdin.fileno()).st_mode)
    return LineSource(
        read=stdin.read,
        put=outbox.put_when_room if is_file else outbox.put_paced,
        topic=name.telemetry_topic,
        journal=journal,
        clock=terminal.clock,
    )


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda _number, _frame: stop()) for number in watched]
    try:
        yield
    finally:
        for number, handler in zip(watched, before, strict=True):
            signal.signal(number, handler)
