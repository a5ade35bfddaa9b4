"""HTTP/1.1 requests that parsers disagree about: llhttp's own tests, from beside the repository when they are there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parents[4] / "shared" / "corpora" / "http-desync" / "llhttp_requests.json"
_HOST_LINE = re.compile(rb"^host:[^\r\n]*", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Vector:
    number: int
    raw: bytes
    strict_error: str

    def at(self, host: str) -> bytes:
        """Name our host and end the head, so that nothing but the vector's own point is left to refuse."""
        line = f"Host: {host}".encode()
        raw = _HOST_LINE.sub(line, self.raw)
        if raw == self.raw:
            first, _, rest = raw.partition(b"\r\n")
            raw = first + b"\r\n" + line + b"\r\n" + rest
        if b"\r\n\r\n" in raw:
            return raw
        return raw + (b"\r\n" if raw.endswith(b"\r\n") else b"\r\n\r\n")


def vectors() -> list[Vector]:
    """Give every request; empty when the corpus is not there."""
    if not FILE.exists():
        return []
    return [
        Vector(
            number=number,
            raw=row["request_latin1"].encode("latin-1"),
            strict_error=row["strict_error"] or "",
        )
        for number, row in enumerate(json.loads(FILE.read_text()))
    ]
