"""Every SQL statement about device groups; ui_iot reads, provision_api writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx

MOST_GROUPS = 500


async def list_groups(tx: TenantTx, group_id: UUID | None = None) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT g.group_id AS id, g.name, g.created_at, g.version,
               (SELECT count(*) FROM device_group_members m
                 WHERE m.tenant_id = g.tenant_id AND m.group_id = g.group_id) AS devices
          FROM device_groups g
         WHERE g.tenant_id = %(tenant)s AND (%(group)s::uuid IS NULL OR g.group_id = %(group)s)
         ORDER BY g.name, g.group_id
         LIMIT %(most)s
        """,
        {"tenant": tx.tenant, "group": group_id, "most": MOST_GROUPS},
    )


async def list_members(
    tx: TenantTx, group_id: UUID, after: UUID | None, limit: int
) -> Sequence[Row]:
    return await tx.all(
        """
        SELECT d.device_id AS id, d.name
          FROM device_group_members m
          JOIN devices d ON (d.tenant_id, d.device_id) = (m.tenant_id, m.device_id)
         WHERE m.tenant_id = %(tenant)s AND m.group_id = %(group)s
           AND (%(after)s::uuid IS NULL OR m.device_id > %(after)s)
         ORDER BY m.device_id
         LIMIT %(limit)s
        """,
        {"tenant": tx.tenant, "group": group_id, "after": after, "limit": limit},
    )


async def list_names(tx: TenantTx, limit: int) -> Sequence[Row]:
    """Return the newest devices, for a page to choose from."""
    return await tx.all(
        """
        SELECT device_id AS id, name FROM devices WHERE tenant_id = %(tenant)s AND status = 'active'
         ORDER BY created_at DESC, device_id DESC
         LIMIT %(limit)s
        """,
        {"tenant": tx.tenant, "limit": limit},
    )
