"""Every SQL statement of those who administer a fleet: enrolment profiles, claim certificates, hardware ids."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.events_fleet import EnrolmentWanted
    from pulse_common.tenancy import Row, TenantTx

_WISHES = """
    SELECT name, approval, known_only, device_profile_id, status, most_devices, most_per_hour, label, method, version
      FROM enrolment_profiles
     WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s
       FOR UPDATE
"""


async def lock_wishes(tx: TenantTx, enrolment_profile_id: UUID) -> Row | None:
    return await tx.one_or_none(_WISHES, {"tenant": tx.tenant, "id": enrolment_profile_id})


async def count(tx: TenantTx) -> int:
    row = await tx.one(
        "SELECT count(*) AS profiles FROM enrolment_profiles WHERE tenant_id = %(tenant)s",
        {"tenant": tx.tenant},
    )
    return int(row["profiles"])


async def create(
    tx: TenantTx, enrolment_profile_id: UUID, label: str, method: str, wanted: EnrolmentWanted
) -> None:
    await tx.execute(
        """
        INSERT INTO enrolment_profiles (tenant_id, enrolment_profile_id, label, method, name, approval, known_only,
                                        device_profile_id, status, most_devices, most_per_hour)
        VALUES (%(tenant)s, %(id)s, %(label)s, %(method)s, %(name)s, %(approval)s, %(known_only)s,
                %(device_profile_id)s, %(status)s, %(most_devices)s, %(most_per_hour)s)
        """,
        {
            "tenant": tx.tenant,
            "id": enrolment_profile_id,
            "label": label,
            "method": method,
            **wanted.model_dump(),
        },
    )


async def change(tx: TenantTx, enrolment_profile_id: UUID, wanted: EnrolmentWanted) -> int:
    """Replace the wishes and return the new version."""
    row = await tx.one(
        """
        UPDATE enrolment_profiles
           SET name = %(name)s, approval = %(approval)s, known_only = %(known_only)s,
               device_profile_id = %(device_profile_id)s, status = %(status)s, most_devices = %(most_devices)s,
               most_per_hour = %(most_per_hour)s, version = version + 1
         WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s
        RETURNING version
        """,
        {"tenant": tx.tenant, "id": enrolment_profile_id, **wanted.model_dump()},
    )
    return int(row["version"])


async def delete(tx: TenantTx, enrolment_profile_id: UUID) -> None:
    await tx.execute(
        "DELETE FROM enrolment_profiles WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s",
        {"tenant": tx.tenant, "id": enrolment_profile_id},
    )


async def keep_claim(tx: TenantTx, values: dict[str, object]) -> None:
    await tx.execute(
        """
        INSERT INTO claim_certificates (tenant_id, claim_certificate_id, enrolment_profile_id, serial_number,
                                        fingerprint_sha256, not_before, not_after, created_by)
        VALUES (%(tenant)s, %(claim_certificate_id)s, %(enrolment_profile_id)s, %(serial_number)s, %(fingerprint)s,
                %(not_before)s, %(not_after)s, %(created_by)s)
        """,
        {"tenant": tx.tenant, **values},
    )


async def count_claims(tx: TenantTx, enrolment_profile_id: UUID, now: datetime) -> int:
    row = await tx.one(
        """
        SELECT count(*) AS claims FROM claim_certificates
         WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s AND revoked_at IS NULL AND not_after > %(now)s
        """,
        {"tenant": tx.tenant, "id": enrolment_profile_id, "now": now},
    )
    return int(row["claims"])


async def revoke_claim(tx: TenantTx, claim_certificate_id: UUID, now: datetime) -> UUID | None:
    """Revoke a claim certificate, once, and return whose it is."""
    row = await tx.one_or_none(
        """
        UPDATE claim_certificates SET revoked_at = coalesce(revoked_at, %(now)s)
         WHERE tenant_id = %(tenant)s AND claim_certificate_id = %(id)s
        RETURNING enrolment_profile_id
        """,
        {"tenant": tx.tenant, "id": claim_certificate_id, "now": now},
    )
    return None if row is None else row["enrolment_profile_id"]


async def register(
    tx: TenantTx, enrolment_profile_id: UUID, rows: Sequence[dict[str, object]]
) -> set[str]:
    """Write hardware ids down and return those that were new."""
    made = await tx.all(
        """
        INSERT INTO hardware_ids (tenant_id, hardware_id, enrolment_profile_id, name, state, secret_sha256,
                                  maker_key_sha256)
        SELECT %(tenant)s, r.hardware_id, %(id)s, r.name, 'registered', r.secret, r.maker_key
          FROM unnest(%(hardware_ids)s::text[], %(names)s::text[], %(secrets)s::bytea[], %(keys)s::bytea[])
               AS r (hardware_id, name, secret, maker_key)
        ON CONFLICT (tenant_id, hardware_id) DO NOTHING
        RETURNING hardware_id
        """,
        {
            "tenant": tx.tenant,
            "id": enrolment_profile_id,
            "hardware_ids": [row["hardware_id"] for row in rows],
            "names": [row["name"] for row in rows],
            "secrets": [row["secret"] for row in rows],
            "keys": [row["maker_key"] for row in rows],
        },
    )
    return {str(row["hardware_id"]) for row in made}


async def decide(
    tx: TenantTx,
    enrolment_profile_id: UUID,
    hardware_ids: Sequence[str],
    state: str,
    now: datetime,
    actor: str,
) -> list[str]:
    """Approve or reject those that wait (or were decided otherwise and have no device yet); return them."""
    rows = await tx.all(
        """
        UPDATE hardware_ids
           SET state = %(state)s, decided_at = %(now)s, decided_by = %(actor)s
         WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s AND hardware_id = ANY(%(hardware_ids)s)
           AND state IN ('pending', 'rejected', 'approved') AND state <> %(state)s AND asked_key_sha256 IS NOT NULL
           AND certificates = 0
        RETURNING hardware_id
        """,
        {
            "tenant": tx.tenant,
            "id": enrolment_profile_id,
            "hardware_ids": list(hardware_ids),
            "state": state,
            "now": now,
            "actor": actor,
        },
    )
    return [str(row["hardware_id"]) for row in rows]


async def forget(
    tx: TenantTx, enrolment_profile_id: UUID, hardware_ids: Sequence[str]
) -> list[str]:
    rows = await tx.all(
        """
        DELETE FROM hardware_ids
         WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s AND hardware_id = ANY(%(hardware_ids)s)
        RETURNING hardware_id
        """,
        {"tenant": tx.tenant, "id": enrolment_profile_id, "hardware_ids": list(hardware_ids)},
    )
    return [str(row["hardware_id"]) for row in rows]
