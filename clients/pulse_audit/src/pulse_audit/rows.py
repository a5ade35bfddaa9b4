"""One audit row as the bytes that are hashed: a JSON array of texts and nulls in a fixed order (RFC 8785 form).

``docs/operations/audit.md`` of Pulse specifies it; this is written from that page, not from the sealer's code.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from pulse_audit.errors import Unreadable
from pulse_audit.merkle import leaf_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

VERSION = "pulse-audit-row/1"
FIELDS = (
    "tenant_id",
    "audit_id",
    "at",
    "service",
    "actor_kind",
    "actor_id",
    "action",
    "object_kind",
    "object_id",
    "outcome",
    "reason",
    "address",
    "user_agent",
    "request_id",
    "before",
    "after",
    "details",
)
Row = dict[str, str | None]


def parse_row(given: object) -> Row:
    """Take a row of an export; anything but exactly the known fields is refused.

    Raises:
        Unreadable: a field is missing, unknown, or not a text.
    """
    if not isinstance(given, dict) or set(given) != set(FIELDS):
        raise Unreadable("a row does not have exactly the fields of pulse-audit-row/1")
    row: Row = {}
    for name in FIELDS:
        value = given[name]
        if value is not None and not isinstance(value, str):
            raise Unreadable(f"a row's {name} is neither a text nor null")
        row[name] = value
    return row


def canonical(row: Mapping[str, str | None]) -> bytes:
    values = [VERSION, *(row[name] for name in FIELDS)]
    # For texts and nulls this is RFC 8785: no spaces, short escapes, nothing else escaped.
    text = json.dumps(values, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")


def hash_of(row: Mapping[str, str | None]) -> bytes:
    return leaf_hash(canonical(row))
