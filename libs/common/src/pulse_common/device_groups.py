"""Which devices are in which groups, for whoever goes by groups: routes and alert rules.

provision_api writes; it tells every change with ``events_groups.DeviceGroupsChanged``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, LiteralString

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from uuid import UUID

    from pulse_common.tenancy import Tx

_MEMBERS: Final[LiteralString] = """
    SELECT group_id, array_agg(device_id) AS devices
      FROM device_group_members
     WHERE tenant_id = %(tenant)s AND group_id = ANY (%(groups)s::uuid[])
     GROUP BY group_id
"""


async def members_of(
    tx: Tx, tenant: UUID, groups: Collection[UUID]
) -> Mapping[UUID, frozenset[UUID]]:
    """Return the devices of these groups of a tenant; a group without any, or that is gone, is not in it.

    Works in a tenant's own transaction and for the roles that serve all tenants.
    """
    if not groups:
        return {}
    rows = await tx.all(_MEMBERS, {"tenant": tenant, "groups": list(groups)})
    return {row["group_id"]: frozenset(row["devices"]) for row in rows}
