"""Reads a sealed export: JSON lines; a header, each batch's seal followed by its rows, then rows not sealed yet."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pulse_audit.errors import Unreadable
from pulse_audit.rows import parse_row

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pulse_audit.rows import Row

FORMAT = "pulse-audit-export/1"
HASH_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """What the log says of one batch (only the note is signed), and the rows that are there."""

    batch: int
    note: str
    leaf_hashes: tuple[bytes, ...]
    audit_ids: tuple[str, ...]
    rows: list[Row] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Unsealed:
    """A row that no head covers yet."""

    row: Row


def read_tenant(lines: Iterator[str]) -> str:
    """Read the header and return whose log it is."""
    try:
        header = _parse(next(lines, ""), 1)
    except Unreadable:
        header = {}
    if header.get("format") != FORMAT or not isinstance(header.get("tenant_id"), str):
        raise Unreadable(
            f"this is no {FORMAT}: ask for the export with format=sealed; CSV, JSON lines and OCSF carry no seal"
        )
    return str(header["tenant_id"])


def read_parts(lines: Iterable[str]) -> Iterator[Batch | Unsealed]:
    """Yield one batch at a time, which bounds the memory that a long log takes.

    Raises:
        Unreadable: a line is not what its place demands, or the file ends early.
    """
    running: Batch | None = None
    ended = False
    for number, line in enumerate(lines, start=2):
        part = _parse(line, number)
        if "row" in part and running is not None and not ended:
            running.rows.append(parse_row(part["row"]))
            continue
        if running is not None:
            yield running
            running = None
        if "seal" in part and not ended:
            running = _batch(part["seal"])
        elif "unsealed" in part and not ended:
            yield Unsealed(parse_row(part["unsealed"]))
        elif "end" in part and not ended:
            ended = True
        else:
            raise Unreadable(f"line {number} is out of place")
    if not ended:
        raise Unreadable("the file ends early: it was not exported whole")


def _parse(line: str, number: int) -> dict[str, Any]:
    try:
        part = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"line {number} is not JSON") from error
    if not isinstance(part, dict):
        raise Unreadable(f"line {number} is not an object")
    return part


def _batch(given: Any) -> Batch:  # noqa: ANN401 -- whatever the file holds
    try:
        hashes = base64.b64decode(given["leaf_hashes"], validate=True)
        if len(hashes) % HASH_BYTES:
            raise Unreadable("a seal's hashes are not whole")
        return Batch(
            batch=int(given["batch"]),
            note=str(given["note"]),
            leaf_hashes=tuple(
                hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)
            ),
            audit_ids=tuple(str(audit_id) for audit_id in given["audit_ids"]),
        )
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Unreadable("a seal is not what a seal should be") from error
