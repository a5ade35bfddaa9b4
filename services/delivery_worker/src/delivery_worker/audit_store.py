"""SQL about the audit log as routes get it, each statement under one tenant's row-level security."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any, LiteralString
from uuid import UUID

from pulse_common.audit_rows import SEALING_ORDER, TEXTS
from pulse_common.delivery_events import AUDIT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery_worker.domain import Route
    from pulse_common.tenancy import Row, TenantTx, Tx

AT_ONCE = 200


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Behind a row, or before all of a transaction."""

    xid: str
    at: str = "-infinity"
    audit_id: str = "00000000-0000-0000-0000-000000000000"


_TENANTS = """
    SELECT DISTINCT tenant_id FROM routes WHERE %(event_type)s = ANY(event_types) ORDER BY tenant_id
"""
# What happens from then on: no row of a transaction that is over is at or above it.
_BEGIN = """
    INSERT INTO route_audit_cursors (tenant_id, route_id, xid, at, audit_id)
    SELECT tenant_id, route_id, pg_snapshot_xmin(pg_current_snapshot()), '-infinity',
           '00000000-0000-0000-0000-000000000000'
      FROM routes WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
    ON CONFLICT DO NOTHING
"""
# A row is read once no transaction that began before it is still open: later ones cannot come before it.
_HORIZON = "SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon"
_NEXT: LiteralString = (
    "SELECT "  # noqa: S608 -- literals, as the type checker sees
    + TEXTS
    + """, audit_log.xid::text AS xid
      FROM audit_log
     WHERE audit_log.tenant_id = %(tenant_id)s
       AND audit_log.xid < %(horizon)s::xid8
       AND (audit_log.xid, audit_log.at, audit_log.audit_id) > (
           SELECT c.xid, c.at, c.audit_id FROM route_audit_cursors c
            WHERE c.tenant_id = %(tenant_id)s AND c.route_id = %(route_id)s)
     ORDER BY """
    + SEALING_ORDER
    + " LIMIT %(limit)s"
)
_MOVE = """
    UPDATE route_audit_cursors SET xid = %(xid)s::xid8, at = %(at)s::timestamptz, audit_id = %(audit_id)s::uuid
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
"""


async def tenants_that_want(tx: Tx, event_type: str) -> Sequence[UUID]:
    rows = await tx.all(_TENANTS, {"event_type": event_type})
    return [UUID(str(row["tenant_id"])) for row in rows]


async def begin(tx: TenantTx, route: Route) -> None:
    """Begin with this very transaction, when the route is one that gets the log; one that has begun goes on."""
    if AUDIT in route.event_types and route.status != "unverified":
        await tx.execute(_BEGIN, {"tenant_id": tx.tenant, "route_id": route.route_id})


async def next_rows(tx: TenantTx, route_id: UUID) -> tuple[Sequence[Row], Cursor | None]:
    """Return what follows the route's cursor, and where the cursor may go when that is all there is by now."""
    values = {"tenant_id": tx.tenant, "route_id": route_id}
    await tx.execute(_BEGIN, values)
    horizon = (await tx.one(_HORIZON))["horizon"]
    rows = await tx.all(_NEXT, {**values, "limit": AT_ONCE, "horizon": horizon})
    return rows, Cursor(xid=horizon) if len(rows) < AT_ONCE else None


async def move_cursor(tx: TenantTx, route_id: UUID, to: Cursor) -> None:
    await tx.execute(
        _MOVE, {**dataclasses.asdict(to), "tenant_id": tx.tenant, "route_id": route_id}
    )


def cursor_at(row: Row) -> Cursor:
    return Cursor(xid=row["xid"], at=row["at"], audit_id=row["audit_id"])


def shown(row: Row) -> dict[str, Any]:
    """Return a row as a route gets it: no tenant, and what was kept as JSON is JSON again."""
    found: dict[str, Any] = {k: v for k, v in row.items() if k not in {"tenant_id", "xid"}}
    for name in ("before", "after", "details"):
        if found[name] is not None:
            found[name] = json.loads(found[name])
    return found
