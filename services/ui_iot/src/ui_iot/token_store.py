"""The SQL of the page about a device's tokens for the broker; provision_api writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

MOST_SHOWN = 50
_PERMISSION = """
    SELECT d.tokens_allowed AS by_device, coalesce(p.tokens_allowed, false) AS by_profile, p.name AS profile_name,
           (SELECT count(*) FROM device_tokens k
             WHERE k.tenant_id = d.tenant_id AND k.device_id = d.device_id
               AND k.revoked_at IS NULL AND k.expires_at > %(now)s) AS good
      FROM devices d
      LEFT JOIN device_profiles p ON p.tenant_id = d.tenant_id AND p.profile_id = d.profile_id
     WHERE d.tenant_id = %(tenant_id)s AND d.device_id = %(device_id)s
"""
_TOKENS = """
    SELECT token_id, created_at, expires_at, revoked_at, session_cut_at
      FROM device_tokens
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s
     ORDER BY created_at DESC, token_id
     LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Permission:
    """Either switch is enough; ``profile_name`` is None for a device without a profile."""

    by_device: bool
    by_profile: bool
    profile_name: str | None
    good: int

    @property
    def allowed(self) -> bool:
        return self.by_device or self.by_profile


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    token_id: UUID
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    session_cut_at: datetime | None

    def state(self, now: datetime) -> Literal["active", "revoked", "expired"]:
        if self.revoked_at is not None:
            return "revoked"
        return "active" if self.expires_at > now else "expired"

    @property
    def silent_after_ms(self) -> int | None:
        """How long the cut took, once the broker has confirmed it."""
        if self.revoked_at is None or self.session_cut_at is None:
            return None
        return round((self.session_cut_at - self.revoked_at).total_seconds() * 1000)


async def find_permission(tx: TenantTx, device_id: UUID, now: datetime) -> Permission:
    values = {"tenant_id": tx.tenant, "device_id": device_id, "now": now}
    return Permission(**await tx.one(_PERMISSION, values))


async def list_tokens(tx: TenantTx, device_id: UUID) -> Sequence[Token]:
    values = {"tenant_id": tx.tenant, "device_id": device_id, "limit": MOST_SHOWN}
    return [Token(**row) for row in await tx.all(_TOKENS, values)]
