"""The command line: commands, options and their help."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

SHORTEST_INTERVAL = 0.1
LONGEST_INTERVAL = 86_400.0
TOKEN_VARIABLE = "PULSE_ENROLMENT_TOKEN"  # noqa: S105 - the name of a variable, not a token


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="pulse-device", description="Connect a device to Pulse.")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_enroll(commands)
    _add_run(commands)
    rescue = commands.add_parser(
        "rescue", help="get the next certificate after the last has expired, where it is allowed"
    )
    _add_server_ca(rescue)
    _add_directory(rescue)
    status = commands.add_parser("status", help="show who this device is and until when")
    _add_directory(status)
    status.add_argument("--json", action="store_true", help="print JSON")
    return top


def _add_enroll(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    enroll = commands.add_parser("enroll", help="get a certificate for an enrolment token")
    enroll.add_argument("--server", required=True, metavar="URL", help="https address of Pulse")
    enroll.add_argument(
        "--token",
        metavar="T",
        help=f"enrolment token; - reads it from stdin; without it {TOKEN_VARIABLE} is used",
    )
    enroll.add_argument(
        "--hardware-id",
        metavar="ID",
        help="enrol as one of a fleet; the token is then this hardware id's secret",
    )
    enroll.add_argument(
        "--claim-cert", type=Path, metavar="FILE", help="the fleet's claim certificate, instead"
    )
    enroll.add_argument(
        "--claim-key", type=Path, metavar="FILE", help="the claim certificate's key"
    )
    enroll.add_argument(
        "--maker-key", type=Path, metavar="FILE", help="the key that the maker put in, instead"
    )
    enroll.add_argument(
        "--label", metavar="L", help="the enrolment profile that knows the maker's key"
    )
    enroll.add_argument(
        "--wait",
        type=_wait,
        default=86_400.0,
        metavar="SECONDS",
        help="how long to wait for an approval",
    )
    _add_server_ca(enroll)
    enroll.add_argument(
        "--force", action="store_true", help="replace a device that is enrolled here"
    )
    _add_directory(enroll)


def _add_run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    run = commands.add_parser("run", help="connect and publish readings")
    _add_directory(run)
    _add_server_ca(run)
    run.add_argument(
        "--interval", type=_seconds, default=2.0, metavar="SECONDS", help="time between readings"
    )
    run.add_argument(
        "--stdin", action="store_true", help="publish JSON lines from stdin instead of readings"
    )
    run.add_argument("--protocol", choices=("3.1.1", "5"), default="3.1.1", help="MQTT version")
    run.add_argument(
        "--exit-when-refused", action="store_true", help="exit with 6 when the broker refuses"
    )
    run.add_argument(
        "--trust-interval",
        type=_seconds,
        default=3600.0,
        metavar="SECONDS",
        help="time between two reports of the authorities that are known here",
    )


def _add_server_ca(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--ca", type=Path, metavar="FILE", help="PEM file of the CA to trust for the server"
    )


def _add_directory(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--dir",
        type=Path,
        default=Path.home() / ".pulse-device",
        metavar="DIR",
        help="where key and certificate are kept (default: ~/.pulse-device)",
    )


def _wait(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds) or seconds < 0:
        raise argparse.ArgumentTypeError("0 or more")
    return seconds


def _seconds(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds) or not SHORTEST_INTERVAL <= seconds <= LONGEST_INTERVAL:
        raise argparse.ArgumentTypeError(f"from {SHORTEST_INTERVAL} to {LONGEST_INTERVAL:.0f}")
    return seconds
