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
from pulse_device.errors import LocalFilesError, NotEnrolledError, UsageError
from pulse_device.fleet import WithFleet, WithToken, checked_hardware_id, checked_label
from pulse_device.identity import broker_tls, load_identity
from pulse_device.journal import Journal, timestamp
from pulse_device.link import Link
from pulse_device.mqtt_client import make_client
from pulse_device.outbox import Outbox
from pulse_device.provisioning import parse_server, server_tls, show_claim
from pulse_device.renewal import Renewal
from pulse_device.rescue import Rescuer, rescue
from pulse_device.running import Parts, Runner
from pulse_device.sampling import Sampler
from pulse_device.sources import LineSource, MachineSource, Source, SourceThread
from pulse_device.status import Status, as_json, as_text
from pulse_device.trust import Trust
from pulse_device.wake import Waker

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from pulse_device.directory import DeviceDirectory
    from pulse_device.journal import Writer
    from pulse_device.names import DeviceName

LONGEST_TOKEN = 4096
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


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolOptions:
    """A token, or as one of a fleet a hardware id and its secret (the token), a claim certificate, or a maker's key."""

    server: str
    token: str | None
    ca_file: Path | None
    hardware_id: str | None = None
    claim_certificate: Path | None = None
    claim_key: Path | None = None
    maker_key: Path | None = None
    label: str | None = None
    wait_seconds: float = 0


def enroll_command(
    terminal: Terminal,
    *,
    directory: DeviceDirectory,
    options: EnrolOptions,
) -> int:
    way = _way(terminal, options)
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


def _way(terminal: Terminal, options: EnrolOptions) -> WithToken | WithFleet:
    server, tls = parse_server(options.server), server_tls(options.ca_file)
    claim, key = options.claim_certificate, options.claim_key
    if (claim is None) != (key is None) or (claim and options.hardware_id is None):
        raise UsageError("--claim-cert, --claim-key and --hardware-id go together")
    _check_maker_key(options)
    if options.hardware_id is None:
        return WithToken(server, _token(terminal, options.token), tls)
    proof: dict[str, str] = {}
    if claim and key:
        show_claim(tls, claim, key)
    elif options.label is not None:
        proof["label"] = checked_label(options.label)
    else:
        proof["secret"] = _token(terminal, options.token)
    return WithFleet(
        server=server,
        hardware_id=checked_hardware_id(options.hardware_id),
        tls=tls,
        proof=proof,
        wait_seconds=options.wait_seconds,
        tell=terminal.stderr,
    )


def _check_maker_key(options: EnrolOptions) -> None:
    if (options.maker_key is None) != (options.label is None):
        raise UsageError("--maker-key and --label go together")
    if options.maker_key and (options.hardware_id is None or options.claim_key or options.token):
        raise UsageError(
            "--maker-key needs --hardware-id, and neither a claim certificate nor a token"
        )


def _token(terminal: Terminal, given: str | None) -> str:
    if given == "-":
        given = (terminal.open_stdin().read(LONGEST_TOKEN + 1) or b"").decode("utf-8", "replace")
    token = (given if given is not None else terminal.environment_token or "").strip()
    if not token:
        raise UsageError("give the enrolment token with --token or PULSE_ENROLMENT_TOKEN")
    if len(token) > LONGEST_TOKEN or not token.isascii() or not token.isprintable():
        raise UsageError("the enrolment token is malformed")
    return token


@contextlib.contextmanager
def _stopped_by_signals(stop: Callable[[], None]) -> Iterator[None]:
    watched = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda _number, _frame: stop()) for number in watched]
    try:
        yield
    finally:
        for number, handler in zip(watched, before, strict=True):
            signal.signal(number, handler)
