"""Every SQL statement about device profiles."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.events_profiles import ProfileWanted
    from pulse_common.tenancy import TenantTx


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    profile_id: UUID
    name: str
    tokens_allowed: bool
    telemetry_schema: dict[str, Any] | None
    certificate_profile: str
    version: int


async def find(tx: TenantTx, profile_id: UUID) -> Profile | None:
    """Find a profile and keep other changes of it, and new users of it, waiting until this transaction ends."""
    row = await tx.one_or_none(
        """
        SELECT profile_id, name, tokens_allowed, telemetry_schema, certificate_profile, version
          FROM device_profiles
         WHERE tenant_id = %(tenant)s AND profile_id = %(profile_id)s
           FOR UPDATE
        """,
        {"tenant": tx.tenant, "profile_id": profile_id},
    )
    return None if row is None else Profile(**row)


async def create(tx: TenantTx, profile_id: UUID, wanted: ProfileWanted) -> Profile:
    row = await tx.one(
        """
        INSERT INTO device_profiles (tenant_id, profile_id, name, tokens_allowed, telemetry_schema,
                                     certificate_profile)
        VALUES (%(tenant)s, %(profile_id)s, %(name)s, %(tokens_allowed)s, %(telemetry_schema)s::jsonb,
                %(certificate_profile)s)
        RETURNING profile_id, name, tokens_allowed, telemetry_schema, certificate_profile, version
        """,
        {"tenant": tx.tenant, "profile_id": profile_id, **_values(wanted)},
    )
    return Profile(**row)


async def change(tx: TenantTx, profile_id: UUID, wanted: ProfileWanted) -> Profile:
    row = await tx.one(
        """
        UPDATE device_profiles
           SET name = %(name)s, tokens_allowed = %(tokens_allowed)s,
               telemetry_schema = %(telemetry_schema)s::jsonb, certificate_profile = %(certificate_profile)s,
               version = version + 1
         WHERE tenant_id = %(tenant)s AND profile_id = %(profile_id)s
        RETURNING profile_id, name, tokens_allowed, telemetry_schema, certificate_profile, version
        """,
        {"tenant": tx.tenant, "profile_id": profile_id, **_values(wanted)},
    )
    return Profile(**row)


async def is_used(tx: TenantTx, profile_id: UUID) -> bool:
    row = await tx.one(
        """
        SELECT EXISTS (SELECT FROM devices WHERE tenant_id = %(tenant)s AND profile_id = %(profile_id)s)
               OR EXISTS (SELECT FROM enrolment_profiles
                           WHERE tenant_id = %(tenant)s AND device_profile_id = %(profile_id)s) AS used
        """,
        {"tenant": tx.tenant, "profile_id": profile_id},
    )
    return bool(row["used"])


async def delete(tx: TenantTx, profile_id: UUID) -> None:
    await tx.execute(
        "DELETE FROM device_profiles WHERE tenant_id = %(tenant)s AND profile_id = %(profile_id)s",
        {"tenant": tx.tenant, "profile_id": profile_id},
    )


async def count(tx: TenantTx) -> int:
    row = await tx.one(
        "SELECT count(*) AS profiles FROM device_profiles WHERE tenant_id = %(tenant)s",
        {"tenant": tx.tenant},
    )
    return int(row["profiles"])


async def assign(tx: TenantTx, device_id: UUID, profile_id: UUID | None) -> int:
    """Give a device a profile, or none, and return the device's new version."""
    row = await tx.one(
        """
        UPDATE devices
           SET profile_id = %(profile_id)s, version = version + 1
         WHERE tenant_id = %(tenant)s AND device_id = %(device_id)s
        RETURNING version
        """,
        {"tenant": tx.tenant, "device_id": device_id, "profile_id": profile_id},
    )
    return int(row["version"])


def _values(wanted: ProfileWanted) -> dict[str, object]:
    schema = wanted.telemetry_schema
    return {
        "name": wanted.name,
        "tokens_allowed": wanted.tokens_allowed,
        "telemetry_schema": None if schema is None else json.dumps(schema),
        "certificate_profile": wanted.certificate_profile,
    }
