"""Every SQL statement about rescues."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

# Which certificate of a device a rescue may be about: its newest one, expired, and never cut off; neither was any that
# it had after that, nor any of the same key.  cert_worker asks the same again, and knows of revoked issuers too.
_RESCUABLE = """
    SELECT c.certificate_id, c.serial_number
      FROM certificates c
     WHERE c.tenant_id = %(tenant_id)s AND c.device_id = %(device_id)s AND c.status = 'valid' AND c.not_after <= %(now)s
       AND NOT EXISTS (
           SELECT FROM certificates n
            WHERE n.tenant_id = c.tenant_id AND n.device_id = c.device_id AND n.certificate_id <> c.certificate_id
              AND (n.status = 'valid' AND n.not_after > c.not_after
                   OR n.status <> 'valid' AND NOT n.superseded
                       AND (n.created_at >= c.created_at OR n.public_key_sha256 = c.public_key_sha256)))
     ORDER BY c.not_after DESC, c.certificate_id DESC
     LIMIT 1
"""
_CLOSE = """
    UPDATE device_rescues SET status = 'closed'
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND status = 'open'
"""
_INSERT = """
    INSERT INTO device_rescues (tenant_id, rescue_id, device_id, certificate_id, opened_at, opened_by, ends_at)
    VALUES (%(tenant_id)s, %(rescue_id)s, %(device_id)s, %(certificate_id)s, %(opened_at)s, %(opened_by)s, %(ends_at)s)
"""
# One that was used is good for the same answer again, while the window lasts: the first may have been lost.
_CLAIM = """
    SELECT r.rescue_id, r.status
      FROM device_rescues r
      JOIN certificates c ON c.tenant_id = r.tenant_id AND c.certificate_id = r.certificate_id
     WHERE r.tenant_id = %(tenant_id)s AND r.device_id = %(device_id)s AND r.status IN ('open', 'used')
       AND r.opened_at <= %(now)s AND r.ends_at > %(now)s
       AND c.fingerprint_sha256 = %(fingerprint)s AND c.status = 'valid' AND c.not_after <= %(now)s
       AND (r.status = 'open'
            OR EXISTS (SELECT FROM certificates n
                        WHERE n.tenant_id = r.tenant_id AND n.device_id = r.device_id AND n.renewal
                          AND n.public_key_sha256 = c.public_key_sha256 AND n.first_used_at IS NULL
                          AND n.status = 'valid' AND n.not_after > %(now)s))
     ORDER BY r.status, r.opened_at DESC
     LIMIT 1
       FOR UPDATE OF r
"""


@dataclass(frozen=True, slots=True)
class Rescuable:
    certificate_id: UUID
    serial_number: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRescue:
    rescue_id: UUID
    device_id: UUID
    certificate_id: UUID
    opened_at: datetime
    opened_by: str
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class Claimed:
    rescue_id: UUID
    status: str


async def find_rescuable(tx: TenantTx, device_id: UUID, now: datetime) -> Rescuable | None:
    row = await tx.one_or_none(
        _RESCUABLE, {"tenant_id": tx.tenant, "device_id": device_id, "now": now}
    )
    return None if row is None else Rescuable(row["certificate_id"], row["serial_number"])


async def close(tx: TenantTx, device_id: UUID) -> bool:
    """Close an open one; False when there is none."""
    return bool(await tx.execute(_CLOSE, {"tenant_id": tx.tenant, "device_id": device_id}))


async def insert(tx: TenantTx, new: NewRescue) -> None:
    await tx.execute(
        _INSERT,
        {
            "tenant_id": tx.tenant,
            "rescue_id": new.rescue_id,
            "device_id": new.device_id,
            "certificate_id": new.certificate_id,
            "opened_at": new.opened_at,
            "opened_by": new.opened_by,
            "ends_at": new.ends_at,
        },
    )


async def claim(tx: TenantTx, device_id: UUID, fingerprint: bytes, now: datetime) -> Claimed | None:
    """Lock the rescue that is for this certificate now; of two that race the second waits and finds it used."""
    row = await tx.one_or_none(
        _CLAIM,
        {"tenant_id": tx.tenant, "device_id": device_id, "fingerprint": fingerprint, "now": now},
    )
    return None if row is None else Claimed(row["rescue_id"], row["status"])


async def use(tx: TenantTx, rescue_id: UUID, now: datetime) -> None:
    await tx.execute(
        """
        UPDATE device_rescues SET status = 'used', used_at = %(now)s
         WHERE tenant_id = %(tenant_id)s AND rescue_id = %(rescue_id)s AND status = 'open'
        """,
        {"tenant_id": tx.tenant, "rescue_id": rescue_id, "now": now},
    )
