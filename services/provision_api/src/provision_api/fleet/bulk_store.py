"""Every SQL statement that makes many devices at once, each in one round trip whatever their number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from uuid import UUID

    from pulse_common.tenancy import TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A hardware id that is there, and its device, if it has one."""

    hardware_id: str
    device_id: UUID | None
    name: str | None
    profile_id: UUID | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDevice:
    line: int
    device_id: UUID
    hardware_id: str
    name: str
    profile_id: UUID | None
    group_id: UUID | None
    maker_key: bytes | None


async def lock_imports(tx: TenantTx) -> None:
    """Let one import of a tenant at a time make devices: two that name the same hardware id find each other's."""
    await tx.execute(
        "SELECT pg_advisory_xact_lock(hashtextextended('pulse.imports.' || %(tenant)s, 0))",
        {"tenant": str(tx.tenant)},
    )


async def find_known(tx: TenantTx, hardware_ids: Collection[str]) -> dict[str, Known]:
    # One by one: as a plain join it is planned once, while the tables are small, and then scans them as they grow.
    rows = await tx.all(
        """
        SELECT h.hardware_id, h.device_id, d.name, d.profile_id
          FROM unnest(%(hardware_ids)s::text[]) AS w (hardware_id)
         CROSS JOIN LATERAL (SELECT hardware_id, device_id FROM hardware_ids
                              WHERE tenant_id = %(tenant)s AND hardware_id = w.hardware_id LIMIT 1) h
          LEFT JOIN LATERAL (SELECT name, profile_id FROM devices
                              WHERE tenant_id = %(tenant)s AND device_id = h.device_id LIMIT 1) d ON true
        """,
        {"tenant": tx.tenant, "hardware_ids": list(hardware_ids)},
    )
    return {row["hardware_id"]: Known(**row) for row in rows}


async def find_profiles(tx: TenantTx, names: Collection[str]) -> dict[str, UUID]:
    rows = await tx.all(
        "SELECT name, profile_id FROM device_profiles WHERE tenant_id = %(tenant)s AND name = ANY(%(names)s)",
        {"tenant": tx.tenant, "names": list(names)},
    )
    return {row["name"]: row["profile_id"] for row in rows}


async def find_groups(tx: TenantTx, names: Collection[str]) -> dict[str, UUID]:
    rows = await tx.all(
        "SELECT name, group_id FROM device_groups WHERE tenant_id = %(tenant)s AND name = ANY(%(names)s)",
        {"tenant": tx.tenant, "names": list(names)},
    )
    return {row["name"]: row["group_id"] for row in rows}


async def create_devices(
    tx: TenantTx, new: Sequence[NewDevice], enrolment_profile_id: UUID | None
) -> None:
    values = {
        "tenant": tx.tenant,
        "enrolment_profile_id": enrolment_profile_id,
        "device_ids": [one.device_id for one in new],
        "names": [one.name for one in new],
        "profiles": [one.profile_id for one in new],
        "hardware_ids": [one.hardware_id for one in new],
        "keys": [one.maker_key for one in new],
    }
    await tx.execute(
        """
        INSERT INTO devices (tenant_id, device_id, name, profile_id)
        SELECT %(tenant)s, r.device_id, r.name, r.profile_id
          FROM unnest(%(device_ids)s::uuid[], %(names)s::text[], %(profiles)s::uuid[])
               AS r (device_id, name, profile_id)
        """,
        values,
    )
    await tx.execute(
        """
        INSERT INTO hardware_ids (tenant_id, hardware_id, enrolment_profile_id, device_id, state, maker_key_sha256)
        SELECT %(tenant)s, r.hardware_id, %(enrolment_profile_id)s, r.device_id, 'registered', r.maker_key
          FROM unnest(%(hardware_ids)s::text[], %(device_ids)s::uuid[], %(keys)s::bytea[])
               AS r (hardware_id, device_id, maker_key)
        """,
        values,
    )
    grouped = [one for one in new if one.group_id is not None]
    if grouped:
        await tx.execute(
            """
            INSERT INTO device_group_members (tenant_id, group_id, device_id)
            SELECT %(tenant)s, r.group_id, r.device_id
              FROM unnest(%(groups)s::uuid[], %(device_ids)s::uuid[]) AS r (group_id, device_id)
            """,
            {
                "tenant": tx.tenant,
                "groups": [one.group_id for one in grouped],
                "device_ids": [one.device_id for one in grouped],
            },
        )
