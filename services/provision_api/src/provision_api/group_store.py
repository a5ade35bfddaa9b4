"""The SQL of device groups and who is in them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.tenancy import TenantTx


@dataclass(frozen=True, slots=True)
class Group:
    group_id: UUID
    name: str
    version: int


async def lock(tx: TenantTx, group_id: UUID) -> Group | None:
    """Find a group and keep other changes of it waiting until this transaction ends."""
    row = await tx.one_or_none(
        "SELECT group_id, name, version FROM device_groups WHERE group_id = %(group_id)s FOR UPDATE",
        {"group_id": group_id},
    )
    return None if row is None else Group(**row)


async def count(tx: TenantTx) -> int:
    row = await tx.one(
        "SELECT count(*) AS groups FROM device_groups WHERE tenant_id = %(tenant)s",
        {"tenant": tx.tenant},
    )
    return int(row["groups"])


async def create(tx: TenantTx, group_id: UUID, name: str) -> Group:
    """Make a group.

    Raises:
        UniqueViolation: the id or the name is taken.
    """
    row = await tx.one(
        """
        INSERT INTO device_groups (tenant_id, group_id, name) VALUES (%(tenant)s, %(group_id)s, %(name)s)
        RETURNING group_id, name, version
        """,
        {"tenant": tx.tenant, "group_id": group_id, "name": name},
    )
    return Group(**row)


async def rename(tx: TenantTx, group_id: UUID, name: str) -> Group:
    row = await tx.one(
        """
        UPDATE device_groups SET name = %(name)s, version = version + 1 WHERE group_id = %(group_id)s
        RETURNING group_id, name, version
        """,
        {"group_id": group_id, "name": name},
    )
    return Group(**row)


async def delete(tx: TenantTx, group_id: UUID) -> None:
    await tx.execute(
        "DELETE FROM device_groups WHERE group_id = %(group_id)s", {"group_id": group_id}
    )


async def join(tx: TenantTx, group_id: UUID, devices: Sequence[UUID]) -> list[UUID]:
    """Return those that were not in it.

    Raises:
        ForeignKeyViolation: one of them is no device of the tenant's.
    """
    rows = await tx.all(
        """
        INSERT INTO device_group_members (tenant_id, group_id, device_id)
        SELECT %(tenant)s, %(group_id)s, device_id FROM unnest(%(devices)s::uuid[]) AS d (device_id)
         ORDER BY device_id
            ON CONFLICT DO NOTHING
        RETURNING device_id
        """,
        {"tenant": tx.tenant, "group_id": group_id, "devices": list(devices)},
    )
    return [row["device_id"] for row in rows]


async def leave(tx: TenantTx, group_id: UUID, devices: Sequence[UUID]) -> list[UUID]:
    """Return those that were in it."""
    rows = await tx.all(
        """
        DELETE FROM device_group_members
         WHERE group_id = %(group_id)s AND device_id = ANY (%(devices)s::uuid[])
        RETURNING device_id
        """,
        {"group_id": group_id, "devices": list(devices)},
    )
    return [row["device_id"] for row in rows]
