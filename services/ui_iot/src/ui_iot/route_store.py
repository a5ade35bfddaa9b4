"""Every SQL statement about routes and deliveries; ui_iot reads, delivery_worker writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx

_ROUTES = """
    SELECT r.route_id AS id, r.name, r.url, r.event_types, r.device_ids, r.group_ids, r.metrics, r.template, r.ordered,
           r.timeout_seconds, r.concurrency, r.status, r.failing_since, r.dropped, r.dropped_at, r.created_at,
           r.version,
           (SELECT count(*) FROM delivery_dead_letters d
             WHERE d.tenant_id = r.tenant_id AND d.route_id = r.route_id) AS dead_letters
      FROM routes r
     WHERE r.tenant_id = %(tenant_id)s AND (%(route_id)s::uuid IS NULL OR r.route_id = %(route_id)s)
     ORDER BY r.created_at, r.route_id
     LIMIT 1000
"""
# Attempts' ids are UUIDv7: they sort by time.
_DELIVERIES = """
    SELECT attempt_id AS id, route_id, delivery_id, event_type, device_id, attempt, attempted_at, stage, delivered,
           status, error, latency_ms, response_body
      FROM delivery_attempts
     WHERE tenant_id = %(tenant_id)s
       AND (%(route_id)s::uuid IS NULL OR route_id = %(route_id)s)
       AND (%(device_id)s::uuid IS NULL OR device_id = %(device_id)s)
       AND (%(stage)s::text IS NULL OR stage = %(stage)s)
       AND (%(outcome)s::text IS NULL OR delivered = (%(outcome)s = 'delivered'))
       AND (%(event_type)s::text IS NULL OR event_type = %(event_type)s)
       AND (%(since)s::timestamptz IS NULL OR attempted_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR attempted_at < %(until)s)
       AND (%(after)s::uuid IS NULL OR attempt_id < %(after)s)
     ORDER BY attempt_id DESC
     LIMIT %(limit)s
"""
_DEAD = """
    SELECT delivery_id, event_type, device_id, died_at, attempts, reason
      FROM delivery_dead_letters
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
       AND (%(device_id)s::uuid IS NULL OR device_id = %(device_id)s)
       AND (%(since)s::timestamptz IS NULL OR died_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR died_at < %(until)s)
       AND (%(after_at)s::timestamptz IS NULL OR (died_at, delivery_id) < (%(after_at)s, %(after_id)s))
     ORDER BY died_at DESC, delivery_id DESC
     LIMIT %(limit)s
"""
_DEAD_ONE = """
    SELECT delivery_id, event_type, device_id, died_at, attempts, reason, message::jsonb ->> 'body' AS body
      FROM delivery_dead_letters
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND delivery_id = %(delivery_id)s
"""
_GROUPS = """
    SELECT group_id AS id, name FROM device_groups
     WHERE tenant_id = %(tenant_id)s ORDER BY name LIMIT %(limit)s
"""


async def list_routes(tx: TenantTx, route_id: UUID | None = None) -> Sequence[Row]:
    return await tx.all(_ROUTES, {"tenant_id": tx.tenant, "route_id": route_id})


async def list_deliveries(tx: TenantTx, *, limit: int, **filters: object) -> Sequence[Row]:
    """Return attempts through ``route_models.DeliveriesQuery``'s filters, the newest first."""
    return await tx.all(_DELIVERIES, {"tenant_id": tx.tenant, "limit": limit, **filters})


async def list_dead(
    tx: TenantTx,
    route_id: UUID,
    *,
    limit: int,
    after: tuple[datetime, str] | None = None,
    **filters: object,
) -> Sequence[Row]:
    """Return dead letters through ``route_models.RouteDeadLettersQuery``'s filters, the newest first."""
    at, delivery_id = after or (None, None)
    place = {"tenant_id": tx.tenant, "route_id": route_id, "after_at": at, "after_id": delivery_id}
    every = dict.fromkeys(("device_id", "since", "until"))
    return await tx.all(_DEAD, {**every, **filters, **place, "limit": limit})


async def find_dead(tx: TenantTx, route_id: UUID, delivery_id: str) -> Row | None:
    values = {"tenant_id": tx.tenant, "route_id": route_id, "delivery_id": delivery_id}
    return await tx.one_or_none(_DEAD_ONE, values)


async def list_groups(tx: TenantTx, limit: int) -> Sequence[Row]:
    return await tx.all(_GROUPS, {"tenant_id": tx.tenant, "limit": limit})


async def count_routes(tx: TenantTx) -> int:
    row = await tx.one(
        "SELECT count(*) AS used FROM routes WHERE tenant_id = %(tenant_id)s",
        {"tenant_id": tx.tenant},
    )
    return int(row["used"])
