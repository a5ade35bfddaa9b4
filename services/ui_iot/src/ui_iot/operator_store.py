"""The SQL of what operators read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.ids import PLATFORM_TENANT
from ui_iot import operator_models as models
from ui_iot.access_store import MOST, grants_of

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.tenancy import OperatorTx
    from ui_iot.access_models import Grant

_TENANTS = """
    SELECT t.tenant_id AS id, t.name, t.status, t.status_reason, t.status_changed_at, t.exported_at, t.purge_after,
           t.created_at,
           (SELECT count(*) FROM devices d WHERE d.tenant_id = t.tenant_id) AS devices,
           (SELECT count(*) FROM certificates c WHERE c.tenant_id = t.tenant_id AND c.status = 'valid'
               AND c.not_after > now()) AS valid_certificates,
           (SELECT count(*) FROM certificates c WHERE c.tenant_id = t.tenant_id AND c.status = 'valid'
               AND c.not_after > now() AND c.not_after < now() + interval '14 days') AS expiring_certificates
      FROM tenants t
     WHERE %(tenant)s::uuid IS NULL OR t.tenant_id = %(tenant)s
     ORDER BY lower(t.name), t.tenant_id
     LIMIT 1000
"""
_GRANTS = """
    SELECT grant_id AS id, tenant_id, kind, operator_id, operator_name, second_operator_name, scopes, reason, ticket,
           seconds, CASE WHEN status = 'active' AND ends_at <= now() THEN 'ended' ELSE status END AS status,
           requested_at, decided_at, ends_at
      FROM operator_grants
     WHERE %(tenant)s::uuid IS NULL OR tenant_id = %(tenant)s
     ORDER BY requested_at DESC
     LIMIT %(most)s
"""
_DEVICES = """
    SELECT d.tenant_id, t.name AS tenant_name, d.device_id AS id, d.name, d.status, d.created_at
      FROM devices d
      JOIN tenants t ON t.tenant_id = d.tenant_id
     WHERE strpos(lower(d.name), lower(%(text)s)) > 0 OR starts_with(d.device_id::text, lower(%(text)s))
     ORDER BY lower(d.name), d.device_id
     LIMIT %(most)s
"""
_STATES = """
    SELECT s.device_id, d.name AS device_name, s.last_seen_at, s.metrics
      FROM device_last_state s
      LEFT JOIN devices d ON d.tenant_id = s.tenant_id AND d.device_id = s.device_id
     WHERE s.tenant_id = %(tenant)s
     ORDER BY s.last_seen_at DESC
     LIMIT %(most)s
"""
# What the policy asks, asked once more so that "nothing there" and "not let in" are told apart.
_LET_IN = """
    SELECT EXISTS (SELECT FROM tenant_access_policies
                    WHERE tenant_id = %(tenant)s AND NOT telemetry_needs_approval)
        OR EXISTS (SELECT FROM operator_grants
                    WHERE tenant_id = %(tenant)s AND status = 'active' AND 'telemetry' = ANY (scopes)
                      AND now() >= begins_at AND now() < ends_at) AS let_in
"""
_ISSUERS = """
    SELECT i.issuer_id AS id, i.kind, i.subject, i.status, i.not_after,
           count(c.*) FILTER (WHERE c.status = 'valid' AND c.not_after > now()) AS valid,
           count(c.*) FILTER (WHERE c.status = 'revoked') AS revoked,
           count(c.*) FILTER (WHERE c.status = 'valid' AND c.not_after > now()
                                AND c.not_after < now() + interval '14 days') AS expiring
      FROM issuers i
      LEFT JOIN (SELECT issuer_id, status, not_after FROM certificates) c ON c.issuer_id = i.issuer_id
     GROUP BY i.issuer_id
     ORDER BY i.created_at DESC
"""
_WARNINGS = """
    SELECT * FROM (
        SELECT DISTINCT ON (kind, subject_id) kind, subject_name AS name, not_after, days, warned_at
          FROM expiry_warnings
         WHERE tenant_id = %(platform)s AND kind <> 'device' AND not_after > now()
         ORDER BY kind, subject_id, days) w
     ORDER BY not_after
     LIMIT %(most)s
"""
_UNCUT = """
    SELECT count(*) AS n FROM certificates
     WHERE status = 'revoked' AND not_after > now() AND (session_cut_at IS NULL OR session_cut_at < revoked_at)
"""
_LISTS = """
    SELECT issuer_id::text AS issuer_id, count(*) AS shards, max(number) AS newest_number,
           min(this_update)::text AS oldest_update
      FROM crl_shards
     GROUP BY issuer_id
"""
_QUEUES = """
    SELECT producer::text AS producer, count(*) AS waiting, min(created_at) AS oldest_at
      FROM outbox
     WHERE sent_at IS NULL
     GROUP BY producer
     ORDER BY producer
"""


async def tenants(tx: OperatorTx, tenant: UUID | None = None) -> list[models.Tenant]:
    rows = await tx.all(_TENANTS, {"tenant": tenant})
    return [models.Tenant.model_validate(row) for row in rows]


async def grants(tx: OperatorTx, tenant: UUID | None = None) -> list[Grant]:
    return grants_of(await tx.all(_GRANTS, {"tenant": tenant, "most": MOST}))


async def devices(tx: OperatorTx, text: str) -> list[models.FoundDevice]:
    rows = await tx.all(_DEVICES, {"text": text, "most": MOST})
    return [models.FoundDevice.model_validate(row) for row in rows]


async def states(tx: OperatorTx, tenant: UUID) -> list[models.DeviceState]:
    rows = await tx.all(_STATES, {"tenant": tenant, "most": MOST})
    return [models.DeviceState.model_validate(row) for row in rows]


async def is_let_in(tx: OperatorTx, tenant: UUID) -> bool:
    return bool((await tx.one(_LET_IN, {"tenant": tenant}))["let_in"])


async def warnings(tx: OperatorTx) -> list[models.ExpiryWarning]:
    rows = await tx.all(_WARNINGS, {"platform": PLATFORM_TENANT, "most": MOST})
    return [models.ExpiryWarning.model_validate(row) for row in rows]


async def health(tx: OperatorTx, expiring: list[models.ExpiryWarning]) -> models.HealthAnswer:
    return models.HealthAnswer(
        warnings=expiring,
        issuers=[models.Issuer.model_validate(row) for row in await tx.all(_ISSUERS)],
        uncut=(await tx.one(_UNCUT))["n"],
        lists=[dict(row) for row in await tx.all(_LISTS)],
        queues=[models.Queue.model_validate(row) for row in await tx.all(_QUEUES)],
    )
