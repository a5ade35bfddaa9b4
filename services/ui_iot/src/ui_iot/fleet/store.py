"""Every SQL statement of this service about profiles, fleets and imports; provision_api writes, this one reads."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.tenancy import Row, TenantTx

_PROFILES = """
    SELECT p.profile_id AS id, p.name, p.tokens_allowed, p.telemetry_schema, p.certificate_profile, p.created_at,
           p.version,
           (SELECT count(*) FROM devices d
             WHERE d.tenant_id = p.tenant_id AND d.profile_id = p.profile_id) AS devices
      FROM device_profiles p
     WHERE p.tenant_id = %(tenant)s AND (%(id)s::uuid IS NULL OR p.profile_id = %(id)s)
     ORDER BY p.name
     LIMIT 500
"""
_FLEETS = """
    SELECT e.enrolment_profile_id AS id, e.name, e.label, e.tenant_id::text || '.' || e.label AS est_label, e.method,
           e.approval, e.known_only, e.device_profile_id, e.status, e.most_devices, e.most_per_hour, e.devices,
           e.created_at, e.version,
           (SELECT count(*) FROM hardware_ids h
             WHERE h.tenant_id = e.tenant_id AND h.enrolment_profile_id = e.enrolment_profile_id
               AND h.state = 'pending') AS pending
      FROM enrolment_profiles e
     WHERE e.tenant_id = %(tenant)s AND (%(id)s::uuid IS NULL OR e.enrolment_profile_id = %(id)s)
     ORDER BY e.name
     LIMIT 500
"""
_CLAIMS = """
    SELECT claim_certificate_id AS id, serial_number, not_after, created_at, created_by, revoked_at, uses, last_used_at
      FROM claim_certificates
     WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s
     ORDER BY created_at DESC
     LIMIT 500
"""
_HARDWARE = """
    SELECT hardware_id, name, state, device_id, asked_at, asked_from, decided_at, enrolled_at,
           encode(asked_key_sha256, 'hex') AS asked_key_sha256,
           CASE WHEN maker_key_sha256 IS NOT NULL THEN 'key'
                WHEN secret_sha256 IS NOT NULL THEN 'secret' ELSE 'claim' END AS proof
      FROM hardware_ids
     WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s
       AND (%(state)s::text IS NULL OR state = %(state)s) AND (%(after)s::text IS NULL OR hardware_id > %(after)s)
     ORDER BY hardware_id
     LIMIT %(limit)s
"""
_IMPORTS = """
    SELECT import_id AS id, format, state, reason, received_bytes, read_bytes, line, created_devices, unchanged_rows,
           refused_rows, with_tokens, tokens_taken_at, enrolment_profile_id, created_at, created_by, finished_at
      FROM device_imports
     WHERE tenant_id = %(tenant)s AND (%(id)s::uuid IS NULL OR import_id = %(id)s)
     ORDER BY import_id DESC
     LIMIT 50
"""
_PROBLEMS = """
    SELECT line, hardware_id, problem
      FROM device_import_rows
     WHERE tenant_id = %(tenant)s AND import_id = %(id)s AND problem IS NOT NULL AND line > %(after)s
     ORDER BY line
     LIMIT %(limit)s
"""


async def list_profiles(tx: TenantTx, profile_id: UUID | None = None) -> Sequence[Row]:
    return await tx.all(_PROFILES, {"tenant": tx.tenant, "id": profile_id})


async def list_fleets(tx: TenantTx, enrolment_profile_id: UUID | None = None) -> Sequence[Row]:
    return await tx.all(_FLEETS, {"tenant": tx.tenant, "id": enrolment_profile_id})


async def list_claims(tx: TenantTx, enrolment_profile_id: UUID) -> Sequence[Row]:
    return await tx.all(_CLAIMS, {"tenant": tx.tenant, "id": enrolment_profile_id})


async def list_hardware(
    tx: TenantTx, enrolment_profile_id: UUID, *, state: str | None, after: str | None, limit: int
) -> Sequence[Row]:
    return await tx.all(
        _HARDWARE,
        {
            "tenant": tx.tenant,
            "id": enrolment_profile_id,
            "state": state,
            "after": after,
            "limit": limit,
        },
    )


async def list_imports(tx: TenantTx, import_id: UUID | None = None) -> Sequence[Row]:
    return await tx.all(_IMPORTS, {"tenant": tx.tenant, "id": import_id})


async def list_problems(tx: TenantTx, import_id: UUID, after: int, limit: int) -> Sequence[Row]:
    values = {"tenant": tx.tenant, "id": import_id, "after": after, "limit": limit}
    return await tx.all(_PROBLEMS, values)


async def profile_of_device(tx: TenantTx, device_id: UUID) -> UUID | None:
    row = await tx.one_or_none(
        "SELECT profile_id FROM devices WHERE tenant_id = %(tenant)s AND device_id = %(device_id)s",
        {"tenant": tx.tenant, "device_id": device_id},
    )
    return None if row is None else row["profile_id"]
