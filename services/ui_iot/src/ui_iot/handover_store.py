"""The SQL of what ends and moves: certificates that expire, rescues, and devices on their way from tenant to tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

MOST = 200
# By each device's newest certificate, as the warnings go.
_EXPIRING = """
    SELECT c.device_id, d.name AS device_name, c.serial_number, c.not_after AS expires_at
      FROM certificates c
      JOIN devices d ON d.tenant_id = c.tenant_id AND d.device_id = c.device_id AND d.status = 'active'
     WHERE c.status = 'valid' AND c.not_after > %(since)s AND c.not_after <= %(until)s
       AND NOT EXISTS (SELECT FROM certificates n
                        WHERE n.tenant_id = c.tenant_id AND n.device_id = c.device_id AND n.status = 'valid'
                          AND n.not_after > c.not_after)
     ORDER BY c.not_after, c.certificate_id
     LIMIT %(most)s
"""
_RESCUE = """
    SELECT rescue_id, opened_at, ends_at
      FROM device_rescues
     WHERE device_id = %(device_id)s AND status = 'open' AND ends_at > %(now)s
"""
_GIVEN = """
    SELECT t.transfer_id, t.device_id, d.name AS device_name, t.offered_to, t.offered_at, t.expires_at, t.decided_at,
           CASE WHEN t.status = 'offered' AND t.expires_at <= %(now)s THEN 'expired' ELSE t.status END AS status
      FROM device_transfers t
      JOIN devices d ON d.tenant_id = t.tenant_id AND d.device_id = t.device_id
     WHERE %(device_id)s::uuid IS NULL OR t.device_id = %(device_id)s
     ORDER BY t.offered_at DESC, t.transfer_id DESC
     LIMIT %(most)s
"""
_ARRIVING = """
    SELECT transfer_id, from_name, device_name, offered_at, expires_at, decided_at, device_id,
           CASE WHEN status = 'offered' AND expires_at <= %(now)s THEN 'expired' ELSE status END AS status
      FROM device_arrivals
     ORDER BY offered_at DESC, transfer_id DESC
     LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class Expiring:
    device_id: UUID
    device_name: str
    serial_number: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class OpenRescue:
    rescue_id: UUID
    opened_at: datetime
    ends_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What this tenant offers or has offered."""

    transfer_id: UUID
    device_id: UUID
    device_name: str
    offered_to: UUID
    offered_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Arriving:
    """What this tenant is or was offered; ``device_id`` is its own device's, once it has accepted."""

    transfer_id: UUID
    from_name: str
    device_name: str
    offered_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    device_id: UUID | None
    status: str


async def list_expiring(tx: TenantTx, since: datetime, until: datetime) -> list[Expiring]:
    rows = await tx.all(_EXPIRING, {"since": since, "until": until, "most": MOST})
    return [Expiring(**row) for row in rows]


async def find_rescue(tx: TenantTx, device_id: UUID, now: datetime) -> OpenRescue | None:
    row = await tx.one_or_none(_RESCUE, {"device_id": device_id, "now": now})
    return None if row is None else OpenRescue(**row)


async def list_given(tx: TenantTx, now: datetime, device_id: UUID | None = None) -> list[Given]:
    rows = await tx.all(_GIVEN, {"now": now, "device_id": device_id, "most": MOST})
    return [Given(**row) for row in rows]


async def list_arriving(tx: TenantTx, now: datetime) -> list[Arriving]:
    rows = await tx.all(_ARRIVING, {"now": now, "most": MOST})
    return [Arriving(**row) for row in rows]


async def has_transfer(tx: TenantTx, transfer_id: UUID) -> bool:
    """Say whether the tenant has such a transfer, as giver or as taker."""
    row = await tx.one(
        """
        SELECT EXISTS (SELECT FROM device_transfers WHERE transfer_id = %(transfer_id)s)
               OR EXISTS (SELECT FROM device_arrivals WHERE transfer_id = %(transfer_id)s) AS known
        """,
        {"transfer_id": transfer_id},
    )
    return bool(row["known"])
