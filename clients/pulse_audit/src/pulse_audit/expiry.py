"""Rows that retention dropped: missing, but named by a sealed tombstone that came late enough."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pulse_audit.errors import Tampered

if TYPE_CHECKING:
    from pulse_audit.export import Batch
    from pulse_audit.heads import Head
    from pulse_audit.rows import Row

ACTION = "audit.expire"
# Retention drops a month when it is 90 days past; a day is for how late a row of its last hour may have been sealed.
SHORTEST_LIFE = timedelta(days=89)


@dataclass(frozen=True, slots=True)
class Gap:
    position: int
    audit_id: str
    sealed_at: datetime


@dataclass(slots=True)
class Expiry:
    """Gathers gaps and tombstones while the log is read; ``settle`` compares them at its end."""

    gaps: list[Gap] = field(default_factory=list)
    spans: list[tuple[int, int, datetime]] = field(default_factory=list)

    def take_tombstones(self, batch: Batch, head: Head) -> None:
        """Note the tombstones among the rows of a batch that was found sound."""
        for row in batch.rows:
            if row["action"] == ACTION:
                self.spans += [(first, last, head.sealed_at) for first, last in _positions(row)]

    def settle(self) -> int:
        """Return how many rows retention dropped.

        Raises:
            Tampered: a row is missing and no tombstone says so, or it was buried too young.
        """
        for gap in self.gaps:
            buried = [at for first, last, at in self.spans if first <= gap.position <= last]
            if not buried:
                raise Tampered(f"row {gap.audit_id} at position {gap.position} is missing")
            if max(buried) - gap.sealed_at < SHORTEST_LIFE:
                raise Tampered(
                    f"row {gap.audit_id} at position {gap.position} is missing; "
                    "a tombstone names it, but it was too young for retention"
                )
        return len(self.gaps)


def _positions(row: Row) -> list[tuple[int, int]]:
    try:
        spans = json.loads(row["details"] or "{}")["positions"]
        return [(int(first), int(last)) for first, last in spans]
    except (KeyError, TypeError, ValueError, RecursionError):
        return []
