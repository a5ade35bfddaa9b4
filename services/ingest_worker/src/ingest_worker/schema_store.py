"""The SQL of what profiles ask of readings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from uuid import UUID

    from pulse_common.tenancy import Tx


@dataclass(frozen=True, slots=True)
class Asked:
    profile_id: UUID
    schema: Mapping[str, Any]


async def list_schemas(tx: Tx, tenant: UUID) -> list[Asked]:
    rows = await tx.all(
        """
        SELECT profile_id, telemetry_schema FROM device_profiles
         WHERE tenant_id = %(tenant)s AND telemetry_schema IS NOT NULL
        """,
        {"tenant": tenant},
    )
    return [Asked(row["profile_id"], row["telemetry_schema"]) for row in rows]


async def find_profile(tx: Tx, tenant: UUID, device: UUID) -> UUID | None:
    row = await tx.one_or_none(
        "SELECT profile_id FROM devices WHERE tenant_id = %(tenant)s AND device_id = %(device)s",
        {"tenant": tenant, "device": device},
    )
    return None if row is None else row["profile_id"]
