"""The SQL of device tokens: one look-up at CONNECT, and the record that a revoked one's session was cut."""

from __future__ import annotations

from typing import TYPE_CHECKING, LiteralString

from mqtt_authz import ways_in
from mqtt_authz.tokens import TokenStanding
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx, Tx

# By the hash's unique index, then two by primary key.
_ASK: LiteralString = f"""
    SELECT k.tenant_id, k.device_id, k.token_id, k.expires_at,
           k.revoked_at IS NOT NULL AS revoked,
           {ways_in.TOKENS_ALLOWED} AS tokens_allowed,
           d.status = 'active' AS device_active,
           t.status = 'active' AS tenant_active,
           {ways_in.IN_PLAN}
      FROM device_tokens k
      JOIN devices d ON d.tenant_id = k.tenant_id AND d.device_id = k.device_id
      JOIN tenants t ON t.tenant_id = k.tenant_id
           {ways_in.PLAN}
"""  # noqa: S608 -- constants of ours
_STANDING: LiteralString = _ASK + "WHERE k.token_hash = %(digest)s"
# The token that a device would show: one that counts before one that does not, the longest first.
_NEWEST: LiteralString = (
    _ASK
    + """
     WHERE k.tenant_id = %(tenant_id)s AND k.device_id = %(device_id)s
     ORDER BY k.revoked_at IS NULL DESC, k.expires_at DESC
     LIMIT 1
"""
)
# The gate's role reads every tenant, so the statements below name the tenant themselves.
_UNCUT_REVOCATION = """
    SELECT revoked_at
      FROM device_tokens
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND token_id = %(token_id)s
       AND revoked_at IS NOT NULL AND (session_cut_at IS NULL OR session_cut_at < revoked_at)
"""
_CONFIRM = """
    UPDATE device_tokens SET session_cut_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND token_id = %(token_id)s
"""


async def find_standing(tx: Tx, digest: bytes) -> TokenStanding | None:
    row = await tx.one_or_none(_STANDING, {"digest": digest})
    return None if row is None else _standing(row)


async def find_of_device(tx: TenantTx, device_id: UUID) -> TokenStanding | None:
    """Return the token that a device would show; None when it has none."""
    row = await tx.one_or_none(_NEWEST, {"tenant_id": tx.tenant, "device_id": device_id})
    return None if row is None else _standing(row)


def _standing(row: Row) -> TokenStanding:
    return TokenStanding(
        tenant=TenantId(row["tenant_id"]),
        device=row["device_id"],
        token=row["token_id"],
        expires_at=row["expires_at"],
        revoked=row["revoked"],
        tokens_allowed=row["tokens_allowed"],
        device_active=row["device_active"],
        tenant_active=row["tenant_active"],
        in_plan=row["in_plan"],
    )


async def find_uncut_revocation(tx: TenantTx, device_id: UUID, token_id: UUID) -> datetime | None:
    """Say when the token was revoked, unless the cut for it has been confirmed."""
    row = await tx.one_or_none(
        _UNCUT_REVOCATION,
        {"tenant_id": tx.tenant, "device_id": device_id, "token_id": token_id},
    )
    revoked_at: datetime | None = row["revoked_at"] if row else None
    return revoked_at


async def confirm_cut(tx: TenantTx, token_id: UUID, now: datetime) -> None:
    await tx.execute(_CONFIRM, {"tenant_id": tx.tenant, "token_id": token_id, "now": now})
