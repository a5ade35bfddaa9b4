"""What can be said of a dead process: how it ended and its last words."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_LINES_SHOWN = 15
_LONGEST_LINE = 400
_BYTES_READ = 16_384


def describe_exit(code: int | None) -> str:
    if code is None:
        return "no exit code"
    if code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def last_lines(path: Path, begins: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(begins, file.tell() - _BYTES_READ))
            text = file.read().decode("utf-8", errors="replace")
    except FileNotFoundError:
        return []
    return [line[:_LONGEST_LINE] for line in text.splitlines()[-_LINES_SHOWN:]]
