"""A sealed export of one tenant's log, line by line: what ``pulse-audit verify`` reads.

One seal and its rows at a time are in memory, and each is a transaction of its own: a slow reader holds none open.
Rows are read by the span of transactions that a seal ends, not by its list of ids, so that a row which somebody slipped
in afterwards is exported as well, and found.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Any, LiteralString

from pulse_common.audit_rows import FIELDS, SEALING_ORDER, TEXTS
from pulse_common.tenancy import Tx

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Row

OpenTx = Callable[[], AbstractAsyncContextManager[Tx]]
"""Begins a transaction that sees the tenant's rows."""

FORMAT = "pulse-audit-export/1"
MOST_UNSEALED = 100_000

_SEAL: LiteralString = """
    SELECT batch, xid_to::text AS xid_to, note, leaf_hashes, audit_ids::text[] AS audit_ids
      FROM audit_seals
     WHERE tenant_id = %(tenant_id)s AND batch >= %(batch)s
     ORDER BY batch
     LIMIT 1
"""
_ROWS: LiteralString = (
    "SELECT "  # noqa: S608 -- literals, as the type checker sees
    + TEXTS
    + """
      FROM audit_log
     WHERE audit_log.tenant_id = %(tenant_id)s
       AND audit_log.xid >= %(from)s::xid8 AND (%(to)s::xid8 IS NULL OR audit_log.xid < %(to)s::xid8)
     ORDER BY """
    + SEALING_ORDER
    + " LIMIT %(limit)s"
)


async def sealed_export(open_tx: OpenTx, tenant_id: UUID, now: datetime) -> AsyncIterator[str]:
    """Yield the lines of the export, each with its newline."""
    yield _line({"format": FORMAT, "tenant_id": str(tenant_id), "exported_at": now.isoformat()})
    batch, sealed_to = 0, "0"
    while True:
        async with open_tx() as tx:
            seal = await tx.one_or_none(_SEAL, {"tenant_id": tenant_id, "batch": batch})
            rows = await _rows(tx, tenant_id, sealed_to, None if seal is None else seal["xid_to"])
        if seal is None:
            break
        yield _line({"seal": _show(seal)})
        for row in rows:
            yield _line({"row": row})
        batch, sealed_to = seal["batch"] + 1, seal["xid_to"]
    for row in rows:
        yield _line({"unsealed": row})
    yield _line({"end": {"unsealed": len(rows)}})


async def _rows(tx: Tx, tenant_id: UUID, begin: str, end: str | None) -> list[dict[str, Any]]:
    found = await tx.all(
        _ROWS,
        {
            "tenant_id": tenant_id,
            "from": begin,
            "to": end,
            # What is sealed is complete, however large; of what is not, the sealer being away, a beginning.
            "limit": MOST_UNSEALED if end is None else None,
        },
    )
    return [{name: row[name] for name in FIELDS} for row in found]


def _show(seal: Row) -> dict[str, Any]:
    return {
        "batch": seal["batch"],
        "note": seal["note"],
        "leaf_hashes": base64.b64encode(seal["leaf_hashes"]).decode(),
        "audit_ids": seal["audit_ids"],
    }


def _line(part: dict[str, Any]) -> str:
    return json.dumps(part, ensure_ascii=False, separators=(",", ":")) + "\n"
