"""Checks a whole export: every signature, every batch's tree, every row, the chain, and the tail."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from pulse_audit.comparing import missing_positions, name_of
from pulse_audit.errors import Tampered, Unreadable
from pulse_audit.expiry import Expiry, Gap
from pulse_audit.export import Unsealed, read_parts, read_tenant
from pulse_audit.heads import NO_PREVIOUS, open_head
from pulse_audit.merkle import Tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from pulse_audit.export import Batch
    from pulse_audit.heads import Head

# A spool may bring events late, by as long as the database was away.
LATE = timedelta(hours=24)


@dataclass(slots=True)
class Report:
    tenant_id: str
    sealed: int = 0
    expired: int = 0
    unsealed: int = 0
    late: int = 0
    head: Head | None = None
    notices: list[str] = field(default_factory=list)


class Verifier:
    """Takes one export; ``outside`` is a head that was kept somewhere the database's administrators cannot write."""

    def __init__(self, key: Ed25519PublicKey, outside: Head | None = None) -> None:
        self._key = key
        self._outside = outside
        self._tree = Tree()
        self._expiry = Expiry()
        self._met_outside = outside is None

    def verify(self, lines: Iterable[str]) -> Report:
        """Check everything and report.

        Raises:
            Tampered: naming the first thing that is not as it was sealed.
            Unreadable: the file is not a whole export.
        """
        rest = iter(lines)
        report = Report(read_tenant(rest))
        if self._outside is not None and self._outside.tenant_id != report.tenant_id:
            raise Unreadable("the outside head is of another tenant")
        for part in read_parts(rest):
            if isinstance(part, Unsealed):
                report.unsealed += 1
                continue
            if report.unsealed:
                raise Unreadable("a seal follows rows that are not sealed")
            self._check_batch(part, report)
        report.sealed = self._tree.size
        report.expired = self._expiry.settle()
        self._check_tail()
        return report

    def _check_batch(self, batch: Batch, report: Report) -> None:
        head = open_head(batch.note, self._key)
        self._check_chain(batch, head, report)
        first = self._tree.size
        self._tree.extend(batch.leaf_hashes)
        if (self._tree.size, self._tree.root()) != (head.tree_size, head.root):
            raise Tampered(
                f"batch {head.batch} (positions {first} to {head.tree_size - 1}): "
                "its hashes do not give the root that was signed"
            )
        self._check_outside(head)
        for position in missing_positions(batch, first):
            name = name_of(batch, position - first)
            self._expiry.gaps.append(Gap(position, name, head.sealed_at))
        self._expiry.take_tombstones(batch, head)
        self._count_late(batch, report)
        report.head = head

    def _check_chain(self, batch: Batch, head: Head, report: Report) -> None:
        before = report.head
        expected = 0 if before is None else before.batch + 1
        if head.tenant_id != report.tenant_id:
            raise Tampered(f"batch {batch.batch} carries the head of another tenant")
        if head.batch != expected:
            raise Tampered(f"batch {expected} is missing: batch {head.batch} stands in its place")
        if head.previous != (NO_PREVIOUS if before is None else before.fingerprint()):
            raise Tampered(f"batch {head.batch} does not follow from the batch before it")

    def _check_outside(self, head: Head) -> None:
        outside = self._outside
        if outside is None or outside.tree_size != head.tree_size:
            return
        if outside.body != head.body:
            raise Tampered(
                f"batch {head.batch} has another head outside: two histories were signed"
            )
        self._met_outside = True

    def _check_tail(self) -> None:
        if self._met_outside or self._outside is None:
            return
        size = self._tree.size
        if size < self._outside.tree_size:
            raise Tampered(
                f"the tail is cut: the log ends after {size} rows, the outside head has "
                f"{self._outside.tree_size} of {self._outside.sealed_at.isoformat()} (an export that was made before "
                "that is too old for this head: export again)"
            )
        raise Tampered("the outside head is of no batch of this log: two histories were signed")

    def _count_late(self, batch: Batch, report: Report) -> None:
        if report.head is None:
            return
        for row in batch.rows:
            if _time(row["at"]) < report.head.sealed_at - LATE:
                report.late += 1
                if report.late == 1:
                    report.notices.append(
                        f"row {row['audit_id']} says {row['at']} but was not in the log by "
                        f"{report.head.sealed_at.isoformat()}: written late, or backdated"
                    )


def _time(text: str | None) -> datetime:
    try:
        return datetime.fromisoformat(text or "")
    except ValueError as error:
        raise Tampered(f"a row's time is {text!r}") from error
