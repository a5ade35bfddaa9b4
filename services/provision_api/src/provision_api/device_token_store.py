"""The SQL of device tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, LiteralString

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

MOST_LISTED = 50
_FIND: LiteralString = """
    SELECT token_id, device_id, created_at, created_by, expires_at, revoked_at
      FROM device_tokens
     WHERE device_id = %(device_id)s
"""


@dataclass(frozen=True, slots=True)
class DeviceToken:
    token_id: UUID
    device_id: UUID
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDeviceToken:
    token_id: UUID
    device_id: UUID
    digest: bytes
    created_at: datetime
    created_by: str
    expires_at: datetime


async def set_allowed(tx: TenantTx, device_id: UUID, *, allowed: bool) -> bool:
    """Return whether that changed anything."""
    changed = await tx.execute(
        """
        UPDATE devices SET tokens_allowed = %(allowed)s
         WHERE device_id = %(device_id)s AND tokens_allowed <> %(allowed)s
        """,
        {"device_id": device_id, "allowed": allowed},
    )
    return changed == 1


async def is_allowed(tx: TenantTx, device_id: UUID) -> bool:
    """Whether the device's own switch or its profile's allows tokens; the gate asks the same."""
    row = await tx.one(
        """
        SELECT d.tokens_allowed OR coalesce(p.tokens_allowed, false) AS allowed
          FROM devices d
          LEFT JOIN device_profiles p ON p.tenant_id = d.tenant_id AND p.profile_id = d.profile_id
         WHERE d.device_id = %(device_id)s
        """,
        {"device_id": device_id},
    )
    return bool(row["allowed"])


async def insert(tx: TenantTx, new: NewDeviceToken) -> None:
    await tx.execute(
        """
        INSERT INTO device_tokens (tenant_id, token_id, device_id, token_hash, created_at, created_by, expires_at)
        VALUES (%(tenant_id)s, %(token_id)s, %(device_id)s, %(digest)s, %(created_at)s, %(created_by)s, %(expires_at)s)
        """,
        {
            "tenant_id": tx.tenant,
            "token_id": new.token_id,
            "device_id": new.device_id,
            "digest": new.digest,
            "created_at": new.created_at,
            "created_by": new.created_by,
            "expires_at": new.expires_at,
        },
    )


async def find(tx: TenantTx, device_id: UUID, token_id: UUID) -> DeviceToken | None:
    row = await tx.one_or_none(
        _FIND + " AND token_id = %(token_id)s", {"device_id": device_id, "token_id": token_id}
    )
    return None if row is None else DeviceToken(**row)


async def find_good(tx: TenantTx, device_id: UUID, now: datetime) -> Sequence[DeviceToken]:
    rows = await tx.all(
        _FIND + " AND revoked_at IS NULL AND expires_at > %(now)s",
        {"device_id": device_id, "now": now},
    )
    return [DeviceToken(**row) for row in rows]


async def list_newest(tx: TenantTx, device_id: UUID) -> Sequence[DeviceToken]:
    rows = await tx.all(
        _FIND + " ORDER BY created_at DESC, token_id LIMIT %(most)s",
        {"device_id": device_id, "most": MOST_LISTED},
    )
    return [DeviceToken(**row) for row in rows]


async def revoke(tx: TenantTx, token_id: UUID, now: datetime) -> None:
    await tx.execute(
        "UPDATE device_tokens SET revoked_at = %(now)s WHERE token_id = %(token_id)s",
        {"token_id": token_id, "now": now},
    )
