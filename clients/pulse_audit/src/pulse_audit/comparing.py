"""Compares the rows of one batch with the hashes that were sealed, and names the first that differs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_audit.errors import Tampered
from pulse_audit.rows import hash_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pulse_audit.export import Batch


def missing_positions(batch: Batch, first_position: int) -> Iterator[int]:
    """Walk both sides and yield the positions of sealed rows that are not there; retention may explain them.

    Raises:
        Tampered: a row was altered, added or moved.
    """
    sealed = batch.leaf_hashes
    found = [hash_of(row) for row in batch.rows]
    places = {digest: index for index, digest in enumerate(found)}
    expected = set(sealed)
    at = 0
    for index, digest in enumerate(sealed):
        if at < len(found) and found[at] == digest:
            at += 1
            continue
        position = first_position + index
        if at < len(found) and found[at] not in expected:
            _refuse_stranger(batch, index, at, position)
        if places.get(digest, -1) > at:
            raise Tampered(
                f"row {batch.rows[at]['audit_id']} stands at position {position} "
                f"where row {batch.rows[places[digest]]['audit_id']} belongs: reordered"
            )
        yield position
    if at < len(found):
        where = first_position + len(sealed)
        raise Tampered(
            f"row {batch.rows[at]['audit_id']} was added before position {where} (batch {batch.batch})"
        )


def _refuse_stranger(batch: Batch, index: int, at: int, position: int) -> None:
    """Tell a changed row from one that was never there: a changed one keeps its id, or stands for one that is gone."""
    row = batch.rows[at]
    known = index < len(batch.audit_ids) and row["audit_id"] == batch.audit_ids[index]
    same_number = len(batch.rows) == len(batch.leaf_hashes)
    if known or (same_number and row["audit_id"] not in batch.audit_ids):
        raise Tampered(f"row {row['audit_id']} at position {position} was altered")
    if row["audit_id"] in batch.audit_ids:
        raise Tampered(f"row {row['audit_id']} near position {position} was altered or moved")
    raise Tampered(f"row {row['audit_id']} was added at position {position}")


def name_of(batch: Batch, index: int) -> str:
    """Return the id of a row that is gone, as the database's index has it (nothing signs it)."""
    return batch.audit_ids[index] if index < len(batch.audit_ids) else "unknown"
