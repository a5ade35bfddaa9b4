"""The SQL of what operators see of deliveries."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.tenancy import OperatorTx, Row

# By the primary key, so that a page costs no more at the end than at the beginning.
_ROUTES = """
    SELECT r.tenant_id, t.name AS tenant_name, r.route_id AS id, r.event_types, r.ordered, r.status, r.failing_since,
           r.dropped,
           (SELECT count(*) FROM delivery_dead_letters d
             WHERE d.tenant_id = r.tenant_id AND d.route_id = r.route_id) AS dead,
           coalesce((SELECT jsonb_agg(to_jsonb(newest)) FROM (
                SELECT attempted_at AS at, attempt, stage, delivered, status, latency_ms
                  FROM delivery_attempts a
                 WHERE a.tenant_id = r.tenant_id AND a.route_id = r.route_id
                 ORDER BY a.attempted_at DESC, a.attempt_id DESC
                 LIMIT 10) newest), '[]') AS recent
      FROM routes r
      JOIN tenants t ON t.tenant_id = r.tenant_id
     WHERE (%(tenant)s::uuid IS NULL OR r.tenant_id = %(tenant)s)
       AND (%(state)s::text IS NULL
            OR CASE %(state)s WHEN 'failing' THEN r.failing_since IS NOT NULL ELSE r.status = %(state)s END)
       AND (%(after_tenant)s::uuid IS NULL
            OR (r.tenant_id, r.route_id) > (%(after_tenant)s::uuid, %(after_route)s::uuid))
     ORDER BY r.tenant_id, r.route_id
     LIMIT %(limit)s
"""


async def routes(
    tx: OperatorTx,
    *,
    tenant: UUID | None,
    state: str | None,
    after: tuple[UUID, UUID] | None,
    limit: int,
) -> Sequence[Row]:
    return await tx.all(
        _ROUTES,
        {
            "tenant": tenant,
            "state": state,
            "after_tenant": after[0] if after else None,
            "after_route": after[1] if after else None,
            "limit": limit,
        },
    )
