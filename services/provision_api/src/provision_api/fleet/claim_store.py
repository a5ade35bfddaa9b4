"""Every SQL statement of a fleet enrolment: credentials, hardware ids, counters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from provision_api.fleet.rules import EnrolmentProfile, Piece

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from provision_api.fleet.rules import Count, State
    from pulse_common.tenancy import TenantTx

_PROFILE_COLUMNS = """
    SELECT e.enrolment_profile_id, e.name, e.method, e.approval, e.known_only, e.device_profile_id, e.status,
           e.most_devices, e.most_per_hour, e.devices, e.hour_began_at, e.devices_this_hour,
           coalesce((SELECT p.certificate_profile FROM device_profiles p
                      WHERE p.tenant_id = e.tenant_id AND p.profile_id = e.device_profile_id),
                    'device') AS certificate_profile
      FROM enrolment_profiles e
"""
_PIECE = """
    SELECT hardware_id, enrolment_profile_id, device_id, name, state, maker_key_sha256, asked_key_sha256, asked_at,
           enrolled_at, certificates
      FROM hardware_ids
"""


async def use_claim(tx: TenantTx, fingerprint: bytes, now: datetime) -> UUID | None:
    """Count a use of a claim certificate, if it counts now, and return its enrolment profile."""
    row = await tx.one_or_none(
        """
        UPDATE claim_certificates
           SET uses = uses + 1, last_used_at = %(now)s
         WHERE tenant_id = %(tenant)s AND fingerprint_sha256 = %(fingerprint)s AND revoked_at IS NULL
           AND not_before <= %(now)s AND not_after > %(now)s
        RETURNING enrolment_profile_id
        """,
        {"tenant": tx.tenant, "fingerprint": fingerprint, "now": now},
    )
    return None if row is None else row["enrolment_profile_id"]


async def lock_profile(tx: TenantTx, enrolment_profile_id: UUID) -> EnrolmentProfile | None:
    """Find an enrolment profile; others that count by it wait until this transaction ends."""
    row = await tx.one_or_none(
        _PROFILE_COLUMNS
        + """
         WHERE e.tenant_id = %(tenant)s AND e.enrolment_profile_id = %(id)s
           FOR UPDATE
        """,
        {"tenant": tx.tenant, "id": enrolment_profile_id},
    )
    return None if row is None else EnrolmentProfile(**row)


async def find_label(tx: TenantTx, label: str) -> EnrolmentProfile | None:
    row = await tx.one_or_none(
        _PROFILE_COLUMNS + " WHERE e.tenant_id = %(tenant)s AND e.label = %(label)s",
        {"tenant": tx.tenant, "label": label},
    )
    return None if row is None else EnrolmentProfile(**row)


async def find_by_secret(tx: TenantTx, digest: bytes) -> Piece | None:
    row = await tx.one_or_none(
        _PIECE + " WHERE tenant_id = %(tenant)s AND secret_sha256 = %(digest)s",
        {"tenant": tx.tenant, "digest": digest},
    )
    return None if row is None else Piece(**row)


async def find_piece(tx: TenantTx, hardware_id: str) -> Piece | None:
    row = await tx.one_or_none(
        _PIECE + " WHERE tenant_id = %(tenant)s AND hardware_id = %(hardware_id)s",
        {"tenant": tx.tenant, "hardware_id": hardware_id},
    )
    return None if row is None else Piece(**row)


async def lock_piece(tx: TenantTx, hardware_id: str) -> Piece | None:
    row = await tx.one_or_none(
        _PIECE
        + """
         WHERE tenant_id = %(tenant)s AND hardware_id = %(hardware_id)s
           FOR UPDATE
        """,
        {"tenant": tx.tenant, "hardware_id": hardware_id},
    )
    return None if row is None else Piece(**row)


async def meet(tx: TenantTx, hardware_id: str, enrolment_profile_id: UUID) -> None:
    """Write down a hardware id that nobody registered; one that is known stays as it is."""
    await tx.execute(
        """
        INSERT INTO hardware_ids (tenant_id, hardware_id, enrolment_profile_id, state)
        VALUES (%(tenant)s, %(hardware_id)s, %(id)s, 'registered')
        ON CONFLICT (tenant_id, hardware_id) DO NOTHING
        """,
        {"tenant": tx.tenant, "hardware_id": hardware_id, "id": enrolment_profile_id},
    )


async def count_pending(tx: TenantTx, enrolment_profile_id: UUID) -> int:
    row = await tx.one(
        """
        SELECT count(*) AS pending FROM hardware_ids
         WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s AND state = 'pending'
        """,
        {"tenant": tx.tenant, "id": enrolment_profile_id},
    )
    return int(row["pending"])


async def ask(
    tx: TenantTx, hardware_id: str, state: State, key: bytes, now: datetime, address: str | None
) -> None:
    await tx.execute(
        """
        UPDATE hardware_ids
           SET state = %(state)s, asked_key_sha256 = %(key)s, asked_at = coalesce(asked_at, %(now)s),
               asked_from = %(address)s
         WHERE tenant_id = %(tenant)s AND hardware_id = %(hardware_id)s
        """,
        {
            "tenant": tx.tenant,
            "hardware_id": hardware_id,
            "state": state,
            "key": key,
            "now": now,
            "address": address,
        },
    )


async def bind(tx: TenantTx, hardware_id: str, device_id: UUID) -> None:
    await tx.execute(
        """
        UPDATE hardware_ids SET device_id = %(device_id)s
         WHERE tenant_id = %(tenant)s AND hardware_id = %(hardware_id)s
        """,
        {"tenant": tx.tenant, "hardware_id": hardware_id, "device_id": device_id},
    )


async def keep_count(tx: TenantTx, enrolment_profile_id: UUID, count: Count) -> None:
    await tx.execute(
        """
        UPDATE enrolment_profiles
           SET devices = %(devices)s, hour_began_at = %(began)s, devices_this_hour = %(this_hour)s
         WHERE tenant_id = %(tenant)s AND enrolment_profile_id = %(id)s
        """,
        {
            "tenant": tx.tenant,
            "id": enrolment_profile_id,
            "devices": count.devices,
            "began": count.hour_began_at,
            "this_hour": count.devices_this_hour,
        },
    )


async def was_cut_off(tx: TenantTx, device_id: UUID, since: datetime) -> bool:
    """Say whether somebody revoked a certificate of the device since; a renewal's retiring is nobody's decision."""
    row = await tx.one(
        """
        SELECT EXISTS (SELECT FROM certificates
                        WHERE tenant_id = %(tenant)s AND device_id = %(device_id)s
                          AND revoked_at >= %(since)s AND NOT superseded) AS cut
        """,
        {"tenant": tx.tenant, "device_id": device_id, "since": since},
    )
    return bool(row["cut"])


async def enrol(tx: TenantTx, hardware_id: str, now: datetime) -> None:
    await tx.execute(
        """
        UPDATE hardware_ids
           SET state = 'enrolled', enrolled_at = coalesce(enrolled_at, %(now)s), certificates = certificates + 1
         WHERE tenant_id = %(tenant)s AND hardware_id = %(hardware_id)s
        """,
        {"tenant": tx.tenant, "hardware_id": hardware_id, "now": now},
    )
