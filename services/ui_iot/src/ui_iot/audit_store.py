"""Reads the audit log: page by page, newest first, through whatever filters are given."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

from pulse_common.audit_rows import FIELDS, TEXTS

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Tx

AuditRow = dict[str, str | None]

# Full text without an index of its own: row-level security lets an index serve only operators that leak nothing, and
# @@ is none of them.  So the time and the tenant narrow the rows down, by audit_log_by_tenant, and the words are looked
# for in what is left.
_SEARCH: LiteralString = (
    "SELECT "  # noqa: S608 -- literals, as the type checker sees
    + TEXTS
    + """
      FROM audit_log
     WHERE (%(tenant_id)s::uuid IS NULL OR tenant_id = %(tenant_id)s::uuid)
       AND audit_log.at >= %(since)s AND audit_log.at < %(until)s
       AND (%(before_at)s::timestamptz IS NULL
            OR (audit_log.at, audit_id) < (%(before_at)s::timestamptz, %(before_id)s::uuid))
       AND (%(action)s::text IS NULL OR action = %(action)s)
       AND (%(actor_id)s::text IS NULL OR actor_id = %(actor_id)s)
       AND (%(object_id)s::text IS NULL OR object_id = %(object_id)s)
       AND (%(outcome)s::text IS NULL OR outcome = %(outcome)s)
       AND (%(text)s::text IS NULL
            OR to_tsvector('simple', coalesce(reason, '') || ' ' || object_kind || ' ' || object_id)
               @@ websearch_to_tsquery('simple', %(text)s))
     ORDER BY audit_log.at DESC, audit_id DESC
     LIMIT %(limit)s
"""
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """``text`` is looked for in reasons and objects, as words; a ``None`` narrows nothing."""

    since: datetime
    until: datetime
    action: str | None = None
    actor_id: str | None = None
    object_id: str | None = None
    outcome: str | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Cursor:
    """The last row of a page."""

    at: datetime
    audit_id: UUID


async def search(
    tx: Tx, wanted: Filter, *, after: Cursor | None, limit: int, tenant_id: UUID | None = None
) -> list[AuditRow]:
    """Return rows below ``after``, newest first.

    ``tenant_id`` helps the index inside a tenant's own transaction and narrows an operator's, who sees all tenants.
    """
    found = await tx.all(
        _SEARCH,
        {
            "tenant_id": tenant_id,
            "since": wanted.since,
            "until": wanted.until,
            "before_at": None if after is None else after.at,
            "before_id": None if after is None else after.audit_id,
            "action": wanted.action,
            "actor_id": wanted.actor_id,
            "object_id": wanted.object_id,
            "outcome": wanted.outcome,
            "text": wanted.text,
            "limit": limit,
        },
    )
    return [{name: row[name] for name in FIELDS} for row in found]
