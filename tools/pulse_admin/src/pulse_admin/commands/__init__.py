"""The commands: one module each, found by its presence here.

A module gives ``GROUP`` and ``NAME`` (`pulse-admin GROUP NAME`), ``arguments(parser)`` and ``run(given)``, which
returns the exit code; the first line of its docstring is its help.  Nothing else has to be edited.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    import argparse


class Command(Protocol):
    """What a module here gives."""

    GROUP: str
    NAME: str
    __doc__: str | None

    @staticmethod
    def arguments(parser: argparse.ArgumentParser) -> None: ...

    @staticmethod
    def run(given: argparse.Namespace) -> int: ...


def commands() -> list[Command]:
    """Return every command, by group and name."""
    names = sorted(module.name for module in pkgutil.iter_modules(__path__))
    found = [cast("Command", importlib.import_module(f"{__name__}.{name}")) for name in names]
    return sorted(found, key=lambda command: (command.GROUP, command.NAME))
