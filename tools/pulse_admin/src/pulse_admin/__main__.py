"""`pulse-admin GROUP COMMAND`: 0 is good news, 1 a finding, 2 a command that could not be carried out."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

import psycopg

from pulse_admin.commands import commands
from pulse_admin.failure import AdminError
from pulse_common.migrations import MigrationError
from pulse_common.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Sequence


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(prog="pulse-admin", description=__doc__)
    groups = root.add_subparsers(required=True, metavar="GROUP")
    grouped: dict[str, argparse._SubParsersAction[argparse.ArgumentParser]] = {}
    for command in commands():
        if command.GROUP not in grouped:
            group = groups.add_parser(command.GROUP)
            grouped[command.GROUP] = group.add_subparsers(required=True, metavar="COMMAND")
        text = (command.__doc__ or "").partition("\n")[0]
        one = grouped[command.GROUP].add_parser(command.NAME, help=text, description=text)
        command.arguments(one)
        one.set_defaults(run=command.run)
    return root


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = parser().parse_args(arguments)
    try:
        return int(given.run(given))
    except (AdminError, MigrationError, SettingsError, psycopg.Error, OSError) as error:
        print(f"pulse-admin: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
