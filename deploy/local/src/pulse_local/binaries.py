"""Finds the programs that Python packages install beside the interpreter."""

from __future__ import annotations

import sys
from pathlib import Path


class BinaryMissingError(Exception):
    """A program that requirements/local.txt installs is not there."""


def find_binary(name: str) -> str:
    """Give the path of `name` in this virtual environment, never one from somewhere in PATH."""
    path = Path(sys.executable).parent / name
    if not path.exists():
        raise BinaryMissingError(
            f"{path} is missing: the Python packages were not installed completely. "
            "Remove the folder .venv and run `make run` again."
        )
    return str(path)
