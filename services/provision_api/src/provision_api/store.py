"""Every SQL statement of this service."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx, Tx


@dataclass(frozen=True, slots=True)
class Tenant:
    tenant_id: UUID
    name: str
    status: str


@dataclass(frozen=True, slots=True)
class Device:
    device_id: UUID
    tenant_id: UUID
    name: str
    status: str
    created_at: datetime
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    token_id: UUID
    device_id: UUID
    digest: bytes
    expires_at: datetime
    created_by: str


async def create_tenant(tx: Tx, tenant_id: UUID, name: str) -> bool:
    """Return whether the tenant is new."""
    made = await tx.execute(
        """
        INSERT INTO tenants (tenant_id, name) VALUES (%(tenant_id)s, %(name)s)
        ON CONFLICT (tenant_id) DO NOTHING
        """,
        {"tenant_id": tenant_id, "name": name},
    )
    return made == 1


async def find_tenant(tx: Tx, tenant_id: UUID) -> Tenant | None:
    row = await tx.one_or_none(
        "SELECT tenant_id, name, status FROM tenants WHERE tenant_id = %(tenant_id)s",
        {"tenant_id": tenant_id},
    )
    return None if row is None else Tenant(row["tenant_id"], row["name"], row["status"])


async def count_devices(tx: TenantTx) -> int:
    """Count what the plan's limit counts: every device that is there, disabled ones too, but for those given away."""
    row = await tx.one(
        "SELECT count(*) AS devices FROM devices WHERE tenant_id = %(tenant)s AND NOT given_away",
        {"tenant": tx.tenant},
    )
    return int(row["devices"])


async def create_device(
    tx: TenantTx, device_id: UUID, name: str, profile_id: UUID | None = None
) -> Device:
    row = await tx.one(
        """
        INSERT INTO devices (tenant_id, device_id, name, profile_id)
        VALUES (%(tenant_id)s, %(device_id)s, %(name)s, %(profile_id)s)
        RETURNING device_id, tenant_id, name, status, created_at, version
        """,
        {"tenant_id": tx.tenant, "device_id": device_id, "name": name, "profile_id": profile_id},
    )
    return Device(**row)


async def find_device(tx: TenantTx, device_id: UUID) -> Device | None:
    row = await tx.one_or_none(
        """
        SELECT device_id, tenant_id, name, status, created_at, version
          FROM devices
         WHERE device_id = %(device_id)s
        """,
        {"device_id": device_id},
    )
    return None if row is None else Device(**row)


async def lock_device(tx: TenantTx, device_id: UUID) -> Device | None:
    """Find a device and keep other changes of it waiting until this transaction ends."""
    row = await tx.one_or_none(
        """
        SELECT device_id, tenant_id, name, status, created_at, version
          FROM devices
         WHERE device_id = %(device_id)s
           FOR UPDATE
        """,
        {"device_id": device_id},
    )
    return None if row is None else Device(**row)


async def rename_device(tx: TenantTx, device_id: UUID, name: str) -> Device:
    row = await tx.one(
        """
        UPDATE devices
           SET name = %(name)s, version = version + 1
         WHERE device_id = %(device_id)s
        RETURNING device_id, tenant_id, name, status, created_at, version
        """,
        {"device_id": device_id, "name": name},
    )
    return Device(**row)


async def create_token(tx: TenantTx, token: NewToken) -> None:
    await tx.execute(
        """
        INSERT INTO enrolment_tokens (tenant_id, token_id, device_id, token_hash, expires_at, created_by)
        VALUES (%(tenant_id)s, %(token_id)s, %(device_id)s, %(digest)s, %(expires_at)s, %(created_by)s)
        """,
        {
            "tenant_id": tx.tenant,
            "token_id": token.token_id,
            "device_id": token.device_id,
            "digest": token.digest,
            "expires_at": token.expires_at,
            "created_by": token.created_by,
        },
    )


@dataclass(frozen=True, slots=True)
class UsableToken:
    token_id: UUID
    device_id: UUID
    certificate_profile: str


async def claim_token(tx: TenantTx, digest: bytes, now: datetime) -> UsableToken | None:
    """Lock an unused, unexpired token for this transaction.

    Of two that race for one token the second waits here until the first commits, and then finds it used.  A token from
    before the device was cut off died with its certificate: enrolling again takes a new one.  A certificate that a
    renewal retired was nobody's decision to cut it off.
    """
    row = await tx.one_or_none(
        """
        SELECT t.token_id, t.device_id,
               coalesce((SELECT p.certificate_profile
                           FROM devices d JOIN device_profiles p USING (tenant_id, profile_id)
                          WHERE d.tenant_id = t.tenant_id AND d.device_id = t.device_id),
                        'device') AS certificate_profile
          FROM enrolment_tokens t
         WHERE t.token_hash = %(digest)s AND t.used_at IS NULL AND t.expires_at > %(now)s
           AND NOT EXISTS (SELECT FROM certificates c
                            WHERE c.tenant_id = t.tenant_id AND c.device_id = t.device_id
                              AND c.revoked_at >= t.created_at AND NOT c.superseded)
           FOR UPDATE OF t
        """,
        {"digest": digest, "now": now},
    )
    return None if row is None else UsableToken(**row)


async def use_token(tx: TenantTx, token_id: UUID, now: datetime) -> None:
    await tx.execute(
        "UPDATE enrolment_tokens SET used_at = %(now)s WHERE token_id = %(token_id)s",
        {"token_id": token_id, "now": now},
    )


@dataclass(frozen=True, slots=True)
class GoodCertificate:
    """One that counts now; ``is_new`` when it renewed another and nobody has seen it used."""

    profile: str
    is_new: bool


async def find_good_certificate(
    tx: TenantTx, device_id: UUID, fingerprint: bytes, now: datetime
) -> GoodCertificate | None:
    row = await tx.one_or_none(
        """
        SELECT profile, renewal AND first_used_at IS NULL AS is_new
          FROM certificates
         WHERE fingerprint_sha256 = %(fingerprint)s AND device_id = %(device_id)s
           AND status = 'valid' AND not_before <= %(now)s AND not_after > %(now)s
        """,
        {"fingerprint": fingerprint, "device_id": device_id, "now": now},
    )
    return None if row is None else GoodCertificate(row["profile"], row["is_new"])
