"""A proof for one event: that it is in the log of a signed head, and that this log continues an older head."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pulse_audit.errors import Tampered, Unreadable
from pulse_audit.export import Batch, read_parts, read_tenant
from pulse_audit.heads import Head, open_head
from pulse_audit.merkle import consistency_path, consistent, included, inclusion_path
from pulse_audit.rows import hash_of, parse_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from pulse_audit.rows import Row

FORMAT = "pulse-audit-proof/1"


@dataclass(frozen=True, slots=True)
class Proven:
    row: Row
    position: int
    head: Head


def prove(
    lines: Iterable[str], key: Ed25519PublicKey, audit_id: str, older: Head | None = None
) -> str:
    """Make the proof; takes memory for 32 bytes a row.

    Raises:
        Unreadable: the event is not in a sealed batch of this export.
        Tampered: a signature is not of this key, or the row is not what was sealed.
    """
    leaves: list[bytes] = []
    found: tuple[int, Row] | None = None
    note = ""
    rest = iter(lines)
    read_tenant(rest)
    for part in read_parts(rest):
        if not isinstance(part, Batch):
            continue
        note = part.note
        for row in part.rows:
            if row["audit_id"] == audit_id:
                found = len(leaves) + _index_of(row, part), row
        leaves += part.leaf_hashes
    if found is None:
        raise Unreadable(f"event {audit_id} is in no sealed batch of this export")
    head = open_head(note, key)
    position, row = found
    proof: dict[str, Any] = {
        "format": FORMAT,
        "row": row,
        "position": position,
        "inclusion": [step.hex() for step in inclusion_path(leaves, position)],
        "note": note,
    }
    if older is not None:
        if older.tree_size > len(leaves):
            raise Tampered("the older head has more rows than the log: its tail is cut")
        steps = consistency_path(leaves, older.tree_size)
        proof["consistency"] = {"from": older.tree_size, "path": [step.hex() for step in steps]}
    text = json.dumps(proof, ensure_ascii=False, indent=1)
    # What is handed out must convince; a log that was tampered with does not.
    check(text, key, older)
    assert head.tree_size == len(leaves)
    return text


def check(text: str, key: Ed25519PublicKey, older: Head | None = None) -> Proven:
    """Check a proof with the key alone; with ``older``, also that the log only grew since.

    Raises:
        Tampered: it does not prove what it says.
        Unreadable: it is not a proof.
    """
    try:
        proof = json.loads(text)
        note, position = str(proof["note"]), int(proof["position"])
        path = [bytes.fromhex(step) for step in proof["inclusion"]]
        row = parse_row(proof["row"])
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise Unreadable(f"this is not a {FORMAT}") from error
    head = open_head(note, key)
    if row["tenant_id"] != head.tenant_id:
        raise Tampered("the row and the head are of two tenants")
    if not included(hash_of(row), position, head.tree_size, path, head.root):
        raise Tampered(f"row {row['audit_id']} is not in the log of this head")
    if older is not None:
        _check_growth(proof, head, older)
    return Proven(row, position, head)


def _check_growth(proof: dict[str, Any], head: Head, older: Head) -> None:
    try:
        path = [bytes.fromhex(step) for step in proof["consistency"]["path"]]
    except (KeyError, TypeError, ValueError) as error:
        raise Unreadable("the proof says nothing of the older head") from error
    same = older.tenant_id == head.tenant_id
    if not same or not consistent(older.tree_size, older.root, head.tree_size, head.root, path):
        raise Tampered("the log of this head does not continue the older head")


def _index_of(row: Row, batch: Batch) -> int:
    try:
        return batch.leaf_hashes.index(hash_of(row))
    except ValueError:
        raise Tampered(f"row {row['audit_id']} is not what was sealed") from None
