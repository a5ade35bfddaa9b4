"""Read the command line, run the command, turn its end into an exit code."""

from __future__ import annotations

import io
import os
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from pulse_device.app import (
    RunOptions,
    Terminal,
    enroll_command,
    rescue_command,
    run_command,
    status_command,
)
from pulse_device.arguments import TOKEN_VARIABLE, parser
from pulse_device.directory import DeviceDirectory
from pulse_device.enrolment import refuse_existing
from pulse_device.errors import DeviceError, LocalFilesError
from pulse_device.journal import one_line
from pulse_device.ways import EnrolOptions

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

# What a shell reports for a command that Ctrl-C ended.
INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0 or one of the exit codes in errors.py."""
    given = parser().parse_args(arguments)
    terminal = Terminal(
        open_stdin=_open_stdin,
        stdout=sys.stdout,
        stderr=sys.stderr,
        clock=_now,
        environment_token=os.environ.get(TOKEN_VARIABLE),  # noqa: TID251 - no pulse_common here
    )
    try:
        return _run(terminal, given)
    except DeviceError as error:
        sys.stderr.write(f"pulse-device: {one_line(str(error))}\n")
        return error.exit_code
    except OSError as error:
        sys.stderr.write(f"pulse-device: {one_line(str(error))}\n")
        return LocalFilesError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(terminal: Terminal, given: argparse.Namespace) -> int:
    directory = DeviceDirectory(given.dir.expanduser())
    match given.command:
        case "enroll":
            # An enrolment that was cut off after its commit is whole: it counts as existing, and
            # its key must not go into another one.
            directory.finish_commit()
            if not given.force:
                refuse_existing(directory)
            return enroll_command(
                terminal,
                directory=directory,
                options=EnrolOptions(
                    server=given.server,
                    token=given.token,
                    ca_file=given.ca,
                    hardware_id=given.hardware_id,
                    claim_certificate=given.claim_cert,
                    claim_key=given.claim_key,
                    maker_key=given.maker_key,
                    label=given.label,
                    wait_seconds=given.wait,
                ),
            )
        case "run":
            options = RunOptions(
                interval_seconds=given.interval,
                from_stdin=given.stdin,
                protocol=given.protocol,
                exit_when_refused=given.exit_when_refused,
                trust_interval_seconds=given.trust_interval,
                server_ca=given.ca,
            )
            return run_command(terminal, directory=directory, options=options)
        case "rescue":
            return rescue_command(terminal, directory=directory, ca_file=given.ca)
        case _:
            show = "json" if given.json else "text"
            return status_command(terminal, directory=directory, show=show)


def _open_stdin() -> io.FileIO:
    """Unbuffered: a daemon thread inside a buffered reader would crash the shutdown."""
    return io.FileIO(0, closefd=False)


def _now() -> datetime:
    return datetime.now(UTC)  # noqa: TID251 - the one clock, handed to whoever needs the time


if __name__ == "__main__":
    sys.exit(main())
