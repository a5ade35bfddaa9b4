"""One line on stderr for each event: time, level, event name, fields."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

LONGEST_TEXT = 300


class Writer(Protocol):
    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...


def one_line(text: str) -> str:
    """Make text from outside safe to print: no control characters, one line, bounded."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= LONGEST_TEXT else f"{shown[: LONGEST_TEXT - 3]}..."


def timestamp(at: datetime) -> str:
    """Write a UTC time as ISO 8601 with milliseconds and Z."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Journal:
    """Safe to use from several threads; a broken stderr never stops the device."""

    def __init__(self, *, stream: Writer, clock: Callable[[], datetime]) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        shown = "".join(f" {name}={_field(value)}" for name, value in fields.items())
        line = f"{timestamp(self._clock())} {level} {event}{shown}\n"
        with self._lock:
            try:
                self._stream.write(line)
                self._stream.flush()
            except OSError:
                return


def _field(value: object) -> str:
    text = one_line(str(value))
    plain = bool(text) and " " not in text and '"' not in text and "=" not in text
    return text if plain else json.dumps(text, ensure_ascii=False)
