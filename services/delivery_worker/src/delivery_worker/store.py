"""Every SQL statement of this service, each under one tenant's row-level security."""

from __future__ import annotations

from typing import TYPE_CHECKING

from delivery_worker.domain import Route

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from delivery_worker.calls import Attempt
    from pulse_common.delivery_events import Delivery, RouteWanted
    from pulse_common.tenancy import Row, TenantTx

_ROUTES = """
    SELECT r.tenant_id, r.route_id, r.name, r.url, r.event_types, r.device_ids, r.group_ids, r.metrics, r.template,
           r.ordered, r.timeout_seconds, r.concurrency, r.status, r.failing_since, r.failing_told_at, r.secret_sealed,
           r.previous_secret_sealed, r.previous_secret_until, r.version, t.status = 'active' AS tenant_active
      FROM routes r
      JOIN tenants t ON t.tenant_id = r.tenant_id
     WHERE r.tenant_id = %(tenant_id)s AND (%(route_id)s::uuid IS NULL OR r.route_id = %(route_id)s::uuid)
     ORDER BY r.route_id
"""
# By device: a batch is of few, and a group may have many.
_GROUPS = """
    SELECT device_id, array_agg(group_id) AS group_ids
      FROM device_group_members
     WHERE tenant_id = %(tenant_id)s AND device_id = ANY(%(devices)s) AND group_id = ANY(%(groups)s)
     GROUP BY device_id
"""
_LOCK_COUNT = "SELECT pg_advisory_xact_lock(hashtextextended('pulse.routes.' || %(tenant)s, 0))"
_COUNT = "SELECT count(*) AS routes FROM routes WHERE tenant_id = %(tenant_id)s"
_INSERT = """
    INSERT INTO routes (tenant_id, route_id, name, url, event_types, device_ids, group_ids, metrics, template,
                        ordered, timeout_seconds, concurrency, secret_sealed)
    VALUES (%(tenant_id)s, %(route_id)s, %(name)s, %(url)s, %(event_types)s, %(device_ids)s, %(group_ids)s, %(metrics)s,
            %(template)s, %(ordered)s, %(timeout_seconds)s, %(concurrency)s, %(secret_sealed)s)
    ON CONFLICT (tenant_id, route_id) DO UPDATE SET secret_sealed = EXCLUDED.secret_sealed
"""
_CHANGE = """
    UPDATE routes
       SET name = %(name)s, url = %(url)s, event_types = %(event_types)s, device_ids = %(device_ids)s,
           group_ids = %(group_ids)s, metrics = %(metrics)s, template = %(template)s, ordered = %(ordered)s,
           timeout_seconds = %(timeout_seconds)s, concurrency = %(concurrency)s,
           status = CASE WHEN url = %(url)s THEN status ELSE 'unverified' END, version = version + 1
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
       AND (%(version)s::integer IS NULL OR version = %(version)s)
"""
_DELETE = "DELETE FROM routes WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s"
_ROTATE = """
    UPDATE routes
       SET previous_secret_sealed = secret_sealed, previous_secret_until = %(until)s, secret_sealed = %(secret_sealed)s,
           version = version + 1
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
"""
_STATUS = """
    UPDATE routes SET status = %(status)s, failing_since = NULL, failing_told_at = NULL, version = version + 1
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND url = %(url)s AND status = ANY(%(was)s)
"""
_ATTEMPT = """
    INSERT INTO delivery_attempts (tenant_id, attempt_id, route_id, delivery_id, event_type, device_id, attempt,
                                   attempted_at, stage, delivered, status, error, latency_ms, response_body)
    SELECT tenant_id, %(attempt_id)s, route_id, %(delivery_id)s, %(event_type)s, %(device_id)s, %(attempt)s, %(at)s,
           %(stage)s, %(delivered)s, %(status)s, %(error)s, %(latency_ms)s, %(body)s
      FROM routes WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
"""
_FAILING = """
    UPDATE routes SET failing_since = coalesce(failing_since, %(at)s)
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND failing_since IS NULL
"""
_WORKS = """
    UPDATE routes SET failing_since = NULL, failing_told_at = NULL
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND failing_since IS NOT NULL
"""
_TOLD = """
    UPDATE routes SET failing_told_at = %(at)s
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND failing_told_at IS NULL
"""
_DISABLE = """
    UPDATE routes SET status = 'disabled', failing_since = coalesce(failing_since, %(at)s), version = version + 1
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND status = 'active'
"""


async def list_routes(tx: TenantTx) -> Sequence[Route]:
    rows = await tx.all(_ROUTES, {"tenant_id": tx.tenant, "route_id": None})
    return [_route(row) for row in rows]


async def find_route(tx: TenantTx, route_id: UUID) -> Route | None:
    row = await tx.one_or_none(_ROUTES, {"tenant_id": tx.tenant, "route_id": route_id})
    return None if row is None else _route(row)


async def find_groups(
    tx: TenantTx, devices: Sequence[UUID], groups: Sequence[UUID]
) -> dict[UUID, frozenset[UUID]]:
    """Return which of ``groups`` each of ``devices`` is in."""
    values = {"tenant_id": tx.tenant, "devices": devices, "groups": groups}
    return {row["device_id"]: frozenset(row["group_ids"]) for row in await tx.all(_GROUPS, values)}


async def count_routes(tx: TenantTx) -> int:
    """Count, while nobody else of the tenant adds one."""
    await tx.execute(_LOCK_COUNT, {"tenant": str(tx.tenant)})
    return int((await tx.one(_COUNT, {"tenant_id": tx.tenant}))["routes"])


async def add_route(tx: TenantTx, route_id: UUID, wanted: RouteWanted, sealed: bytes) -> None:
    values = {**wanted.model_dump(), **_key(tx, route_id), "secret_sealed": sealed}
    await tx.execute(_INSERT, values)


async def change_route(
    tx: TenantTx, route_id: UUID, wanted: RouteWanted, version: int | None
) -> bool:
    values = {**wanted.model_dump(), **_key(tx, route_id), "version": version}
    return await tx.execute(_CHANGE, values) > 0


async def delete_route(tx: TenantTx, route_id: UUID) -> None:
    await tx.execute(_DELETE, _key(tx, route_id))


async def rotate_secret(tx: TenantTx, route_id: UUID, sealed: bytes, until: datetime) -> None:
    await tx.execute(_ROTATE, {**_key(tx, route_id), "secret_sealed": sealed, "until": until})


async def set_status(tx: TenantTx, route: Route, status: str, was: Sequence[str]) -> bool:
    """Change the state of a route that still has the URL that was looked at."""
    values = {**_key(tx, route.route_id), "status": status, "was": list(was), "url": route.url}
    return await tx.execute(_STATUS, values) > 0


async def keep_attempt(
    tx: TenantTx, delivery: Delivery, attempt_id: UUID, number: int, at: datetime, made: Attempt
) -> None:
    values = {
        **_of(tx, delivery),
        "stage": made.stage,
        "status": made.status,
        "error": made.error,
        "latency_ms": made.latency_ms,
        "body": made.body,
        "attempt_id": attempt_id,
        "attempt": number,
        "at": at,
        "delivered": made.delivered,
    }
    await tx.execute(_ATTEMPT, values)


async def note_failing(tx: TenantTx, route_id: UUID, at: datetime) -> None:
    await tx.execute(_FAILING, {**_key(tx, route_id), "at": at})


async def note_working(tx: TenantTx, route_id: UUID) -> None:
    await tx.execute(_WORKS, _key(tx, route_id))


async def note_told(tx: TenantTx, route_id: UUID, at: datetime) -> bool:
    return await tx.execute(_TOLD, {**_key(tx, route_id), "at": at}) > 0


async def disable(tx: TenantTx, route_id: UUID, at: datetime) -> bool:
    return await tx.execute(_DISABLE, {**_key(tx, route_id), "at": at}) > 0


def _key(tx: TenantTx, route_id: UUID) -> dict[str, UUID]:
    return {"tenant_id": tx.tenant, "route_id": route_id}


def _of(tx: TenantTx, delivery: Delivery) -> dict[str, object]:
    return {**delivery.model_dump(exclude={"body"}), "tenant_id": tx.tenant}


def _route(row: Row) -> Route:
    previous = row["previous_secret_sealed"]
    return Route(
        **{
            **row,
            "event_types": tuple(row["event_types"]),
            "device_ids": frozenset(row["device_ids"]),
            "group_ids": frozenset(row["group_ids"]),
            "metrics": frozenset(row["metrics"]),
            "secret_sealed": bytes(row["secret_sealed"]),
            "previous_secret_sealed": None if previous is None else bytes(previous),
        }
    )
