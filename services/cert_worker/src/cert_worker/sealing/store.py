"""Every SQL statement of the sealer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from cert_worker.sealing.tree import Peaks
from pulse_common.audit_rows import SEALING_ORDER, TEXTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from pulse_common.tenancy import Row, Tx

_ROWS: LiteralString = (
    "SELECT audit_log.xid::text AS xid,"  # noqa: S608 -- literals, as the type checker sees
    + TEXTS
    + """
      FROM audit_log
     WHERE audit_log.xid >= %(from)s::xid8 AND audit_log.xid < %(to)s::xid8
     ORDER BY """
    + SEALING_ORDER
)
_ROWS_OF: LiteralString = (
    "SELECT "  # noqa: S608 -- as above
    + TEXTS
    + """
      FROM audit_log
     WHERE audit_log.xid >= %(xid_from)s::xid8 AND audit_log.xid < %(xid_to)s::xid8
       AND audit_log.tenant_id = %(tenant_id)s::uuid
     ORDER BY """
    + SEALING_ORDER
)
_LAST: LiteralString = """
    SELECT s.tenant_id::text AS tenant_id, s.batch, s.tree_size, s.peaks, s.note
      FROM unnest(%(tenants)s::uuid[]) AS t (tenant_id)
     CROSS JOIN LATERAL (
           SELECT tenant_id, batch, tree_size, peaks, note
             FROM audit_seals
            WHERE tenant_id = t.tenant_id
            ORDER BY batch DESC
            LIMIT 1) s
"""
_ADD: LiteralString = """
    INSERT INTO audit_seals (tenant_id, batch, first_position, tree_size, xid_from, xid_to, note, peaks, leaf_hashes,
                             audit_ids, sealed_at)
    VALUES (%(tenant_id)s, %(batch)s, %(first_position)s, %(tree_size)s, %(xid_from)s::xid8, %(xid_to)s::xid8,
            %(note)s, %(peaks)s, %(leaf_hashes)s, %(audit_ids)s::uuid[], %(sealed_at)s)
"""
_HEADS: LiteralString = """
    SELECT seal_id, tenant_id::text AS tenant_id, tree_size, note, xid_from::text AS xid_from, xid_to::text AS xid_to
      FROM audit_seals
     WHERE seal_id > %(after)s
     ORDER BY seal_id
     LIMIT %(limit)s
"""
_MONTHS: LiteralString = """
    SELECT to_date(substr(c.relname, 11), 'YYYYMM') AS month
      FROM pg_inherits i
      JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'public.audit_log'::regclass AND c.relname ~ '^audit_log_[0-9]{6}$'
     ORDER BY 1
"""


@dataclass(frozen=True, slots=True)
class Span:
    """Transactions from ``first`` on, up to but without ``end``."""

    first: int
    end: int


@dataclass(frozen=True, slots=True)
class Last:
    """The newest seal of one tenant."""

    batch: int
    peaks: Peaks
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Seal:
    tenant_id: str
    batch: int
    first_position: int
    peaks: Peaks
    note: str
    leaf_hashes: Sequence[bytes]
    audit_ids: Sequence[str]


async def take_lock(tx: Tx, name: str) -> bool:
    """Take a lock until the transaction's end: of all replicas, one works at a time."""
    row = await tx.one(
        "SELECT pg_try_advisory_xact_lock(hashtext('pulse.audit.' || %(name)s)) AS held",
        {"name": name},
    )
    return bool(row["held"])


async def unsealed(tx: Tx) -> Span:
    """Return the transactions that are over and not sealed.

    Every transaction below the oldest running one is over, so no row of those can appear any more.
    """
    row = await tx.one(
        "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon,"
        " (SELECT max(xid_to)::text FROM audit_seal_runs) AS sealed_to"
    )
    return Span(int(row["sealed_to"] or 0), int(row["horizon"]))


async def rows(tx: Tx, span: Span, limit: int) -> Sequence[Row]:
    return await tx.all(
        _ROWS + " LIMIT %(limit)s",
        {"from": str(span.first), "to": str(span.end), "limit": limit},
    )


async def last_seals(tx: Tx, tenants: Iterable[str]) -> dict[str, Last]:
    found = await tx.all(_LAST, {"tenants": list(tenants)})
    return {
        row["tenant_id"]: Last(
            row["batch"], Peaks.from_bytes(row["tree_size"], row["peaks"]), row["note"]
        )
        for row in found
    }


async def add_seal(tx: Tx, seal: Seal, span: Span, at: datetime) -> None:
    await tx.execute(
        _ADD,
        {
            "tenant_id": seal.tenant_id,
            "batch": seal.batch,
            "first_position": seal.first_position,
            "tree_size": seal.peaks.size,
            "xid_from": str(span.first),
            "xid_to": str(span.end),
            "note": seal.note,
            "peaks": seal.peaks.to_bytes(),
            "leaf_hashes": b"".join(seal.leaf_hashes),
            "audit_ids": list(seal.audit_ids),
            "sealed_at": at,
        },
    )


async def add_run(tx: Tx, span: Span, count: int, at: datetime) -> None:
    await tx.execute(
        "INSERT INTO audit_seal_runs (xid_from, xid_to, rows, sealed_at)"
        " VALUES (%(from)s::xid8, %(to)s::xid8, %(rows)s, %(at)s)",
        {"from": str(span.first), "to": str(span.end), "rows": count, "at": at},
    )


async def oldest_from(tx: Tx, transaction: int) -> datetime | None:
    """Return the time of the first row that is not sealed."""
    row = await tx.one_or_none(
        "SELECT at FROM audit_log WHERE xid >= %(from)s::xid8 ORDER BY xid LIMIT 1",
        {"from": str(transaction)},
    )
    return None if row is None else row["at"]


async def heads_after(tx: Tx, seal_id: int, limit: int) -> Sequence[Row]:
    return await tx.all(_HEADS, {"after": seal_id, "limit": limit})


async def rows_of(tx: Tx, seal: Row) -> Sequence[Row]:
    """Return the rows that one of ``heads_after`` sealed."""
    return await tx.all(
        _ROWS_OF, {name: seal[name] for name in ("xid_from", "xid_to", "tenant_id")}
    )


async def cursor(tx: Tx, place: str) -> int:
    row = await tx.one_or_none(
        "SELECT seal_id FROM audit_cursors WHERE place = %(place)s", {"place": place}
    )
    return 0 if row is None else int(row["seal_id"])


async def move_cursor(tx: Tx, place: str, seal_id: int) -> None:
    await tx.execute(
        "INSERT INTO audit_cursors (place, seal_id) VALUES (%(place)s, %(seal_id)s)"
        " ON CONFLICT (place) DO UPDATE SET seal_id = excluded.seal_id",
        {"place": place, "seal_id": seal_id},
    )


async def ensure_partitions(tx: Tx, months_ahead: int) -> int:
    row = await tx.one(
        "SELECT ensure_audit_partitions(%(months)s) AS made", {"months": months_ahead}
    )
    return int(row["made"])


async def months(tx: Tx) -> Sequence[Row]:
    return await tx.all(_MONTHS)


async def drop_month(tx: Tx, month: object) -> int:
    row = await tx.one("SELECT drop_audit_month(%(month)s) AS dropped", {"month": month})
    return int(row["dropped"])
