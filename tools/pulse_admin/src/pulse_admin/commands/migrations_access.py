"""Print who may do what in this database, one fact a line: what `make schema` keeps in db/access.txt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_admin.database import connected
from pulse_common.migrations import access

if TYPE_CHECKING:
    import argparse

GROUP = "migrations"
NAME = "access"


def arguments(parser: argparse.ArgumentParser) -> None:
    del parser


def run(given: argparse.Namespace) -> int:
    """Return 0; the list is on standard output."""
    del given
    with connected() as connection:
        print("\n".join(access(connection)))
    return 0
