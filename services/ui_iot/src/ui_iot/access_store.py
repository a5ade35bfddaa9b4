"""The SQL of a tenant's own view of operators' access: demands, requests, and who looked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot.access_models import Grant, Look, Policy

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx

MOST = 200
_GRANTS = """
    SELECT grant_id AS id, tenant_id, kind, operator_id, operator_name, second_operator_name, scopes, reason, ticket,
           seconds, CASE WHEN status = 'active' AND ends_at <= now() THEN 'ended' ELSE status END AS status,
           requested_at, decided_at, ends_at
      FROM operator_grants
     WHERE tenant_id = %(tenant)s
     ORDER BY requested_at DESC
     LIMIT %(most)s
"""
_LOOKS = """
    SELECT at, actor_id AS operator_id, coalesce(details ->> 'operator', '') AS operator_name, action,
           coalesce(details ->> 'purpose', '') AS purpose, coalesce(reason, '') AS reason
      FROM audit_log
     WHERE actor_kind = 'operator' AND object_kind = 'database'
     ORDER BY at DESC
     LIMIT %(most)s
"""
_SET_POLICY = """
    INSERT INTO tenant_access_policies (tenant_id, telemetry_needs_approval, secrets_need_approval,
                                        metadata_needs_approval, notice_emails, updated_by)
    VALUES (%(tenant)s, %(telemetry)s, %(secrets)s, %(metadata)s, %(emails)s, %(by)s)
    ON CONFLICT (tenant_id) DO UPDATE
       SET telemetry_needs_approval = excluded.telemetry_needs_approval,
           secrets_need_approval = excluded.secrets_need_approval,
           metadata_needs_approval = excluded.metadata_needs_approval,
           notice_emails = excluded.notice_emails, updated_by = excluded.updated_by, updated_at = now()
"""
# The database's clock, by which its policies go.
_APPROVE = """
    UPDATE operator_grants
       SET status = 'active', decided_at = now(), decided_by = %(by)s, begins_at = now(),
           ends_at = now() + make_interval(secs => seconds)
     WHERE grant_id = %(grant)s AND status = 'requested' AND kind = 'approval'
"""
_DENY = """
    UPDATE operator_grants SET status = 'denied', decided_at = now(), decided_by = %(by)s
     WHERE grant_id = %(grant)s AND status = 'requested'
"""
_REVOKE = """
    UPDATE operator_grants SET status = 'revoked', decided_at = now(), decided_by = %(by)s
     WHERE grant_id = %(grant)s AND status = 'active'
"""
_BROKEN = """
    SELECT count(*) AS n FROM operator_grants
     WHERE kind = 'break_glass' AND status = 'active' AND ends_at > now()
"""


async def read_policy(tx: TenantTx) -> Policy:
    row = await tx.one_or_none(
        """
        SELECT telemetry_needs_approval, secrets_need_approval, metadata_needs_approval, notice_emails
          FROM tenant_access_policies
        """
    )
    return Policy() if row is None else Policy.model_validate(row)


async def set_policy(tx: TenantTx, policy: Policy, by: str) -> None:
    values = {
        "tenant": tx.tenant,
        "telemetry": policy.telemetry_needs_approval,
        "secrets": policy.secrets_need_approval,
        "metadata": policy.metadata_needs_approval,
        "emails": policy.notice_emails,
        "by": by,
    }
    await tx.execute(_SET_POLICY, values)


async def list_grants(tx: TenantTx) -> list[Grant]:
    return grants_of(await tx.all(_GRANTS, {"tenant": tx.tenant, "most": MOST}))


def grants_of(rows: Sequence[Row]) -> list[Grant]:
    return [Grant.model_validate(row) for row in rows]


async def list_looks(tx: TenantTx) -> list[Look]:
    return [Look.model_validate(row) for row in await tx.all(_LOOKS, {"most": MOST})]


async def approve(tx: TenantTx, grant: UUID, by: str) -> bool:
    """Open a request for the time that it asked for; False when there is none to approve."""
    return bool(await tx.execute(_APPROVE, {"grant": grant, "by": by}))


async def deny(tx: TenantTx, grant: UUID, by: str) -> bool:
    return bool(await tx.execute(_DENY, {"grant": grant, "by": by}))


async def revoke(tx: TenantTx, grant: UUID, by: str) -> bool:
    """End a grant before its time; a broken glass too."""
    return bool(await tx.execute(_REVOKE, {"grant": grant, "by": by}))


async def has_broken_glass(tx: TenantTx) -> bool:
    return bool((await tx.one(_BROKEN))["n"])
