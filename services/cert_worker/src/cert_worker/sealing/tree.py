"""What is hashed and how: rows as RFC 8785 JSON, trees as RFC 6962, heads as C2SP checkpoints.  No input or output.

docs/operations/audit.md specifies it; clients/pulse_audit checks it with code of its own.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from pulse_common.audit_rows import FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

ROW_VERSION = "pulse-audit-row/1"
NO_PREVIOUS = "0" * 64
HASH_BYTES = 32


def leaf_hash(row: Mapping[str, str | None]) -> bytes:
    values = [ROW_VERSION, *(row[name] for name in FIELDS)]
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return sha256(b"\x00" + text.encode()).digest()


@dataclass(frozen=True, slots=True)
class Peaks:
    """A tree of ``size`` leaves, of which only what its growth needs is kept: a hash for each bit set in its size."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    @classmethod
    def from_bytes(cls, size: int, data: bytes) -> Peaks:
        return cls(size, tuple(data[i : i + HASH_BYTES] for i in range(0, len(data), HASH_BYTES)))

    def to_bytes(self) -> bytes:
        return b"".join(self.hashes)

    def grown(self, leaves: Iterable[bytes]) -> Peaks:
        hashes, size = list(self.hashes), self.size
        for leaf in leaves:
            value, bits = leaf, size
            while bits & 1:
                value = sha256(b"\x01" + hashes.pop() + value).digest()
                bits >>= 1
            hashes.append(value)
            size += 1
        return Peaks(size, tuple(hashes))

    def root(self) -> bytes:
        if not self.hashes:
            return sha256(b"").digest()
        root = self.hashes[-1]
        for peak in reversed(self.hashes[:-1]):
            root = sha256(b"\x01" + peak + root).digest()
        return root


def head_text(
    *, tenant: str, peaks: Peaks, batch: int, previous_note: str | None, at: datetime
) -> str:
    """Write what is signed: the tree, and the fingerprint of the head before it."""
    return (
        f"pulse.audit/{tenant}\n"
        f"{peaks.size}\n"
        f"{base64.b64encode(peaks.root()).decode()}\n"
        f"batch {batch}\n"
        f"previous {NO_PREVIOUS if previous_note is None else fingerprint(previous_note)}\n"
        f"time {at:%Y-%m-%dT%H:%M:%S.%fZ}\n"
    )


def fingerprint(note: str) -> str:
    """Return the hash of what a signed note says, without its signature."""
    return sha256((note.rpartition("\n\n")[0] + "\n").encode()).hexdigest()
