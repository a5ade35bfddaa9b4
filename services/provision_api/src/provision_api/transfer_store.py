"""Every SQL statement about transfers; what crosses to the other tenant goes through ``carry`` alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.tenancy import TenantTx

_OFFER = """
    INSERT INTO device_transfers (tenant_id, transfer_id, device_id, offered_to, offered_at, offered_by, expires_at)
    VALUES (%(tenant_id)s, %(transfer_id)s, %(device_id)s, %(offered_to)s, %(offered_at)s, %(offered_by)s,
            %(expires_at)s)
"""
_EXPIRE = """
    UPDATE device_transfers SET status = 'expired', decided_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND status = 'offered' AND expires_at <= %(now)s
    RETURNING transfer_id
"""
_WITHDRAW = """
    UPDATE device_transfers SET status = 'withdrawn', decided_at = %(now)s
     WHERE tenant_id = %(tenant_id)s AND transfer_id = %(transfer_id)s AND status = 'offered'
    RETURNING device_id
"""
_ARRIVAL = """
    SELECT transfer_id, device_name, from_tenant
      FROM device_arrivals
     WHERE tenant_id = %(tenant_id)s AND transfer_id = %(transfer_id)s AND status = 'offered' AND expires_at > %(now)s
       FOR UPDATE
"""
_DECIDE = """
    UPDATE device_arrivals
       SET status = %(status)s, decided_at = %(now)s, decided_by = %(by)s, device_id = %(device_id)s
     WHERE tenant_id = %(tenant_id)s AND transfer_id = %(transfer_id)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOffer:
    transfer_id: UUID
    device_id: UUID
    offered_to: UUID
    offered_at: datetime
    offered_by: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Arrival:
    transfer_id: UUID
    device_name: str
    from_tenant: UUID


async def lock(tx: TenantTx, transfer_id: UUID) -> None:
    """Wait until the other side has done with this transfer: both lock this first, so that neither waits for ever."""
    await tx.one(
        "SELECT pg_advisory_xact_lock(hashtextextended('pulse.transfer.' || %(transfer)s, 0))",
        {"transfer": str(transfer_id)},
    )


async def open_transfer_of(tx: TenantTx, device_id: UUID) -> UUID | None:
    row = await tx.one_or_none(
        """
        SELECT transfer_id
          FROM device_transfers
         WHERE tenant_id = %(tenant_id)s AND device_id = %(device_id)s AND status = 'offered'
        """,
        {"tenant_id": tx.tenant, "device_id": device_id},
    )
    return None if row is None else row["transfer_id"]


async def offer(tx: TenantTx, new: NewOffer) -> None:
    await tx.execute(
        _OFFER,
        {
            "tenant_id": tx.tenant,
            "transfer_id": new.transfer_id,
            "device_id": new.device_id,
            "offered_to": new.offered_to,
            "offered_at": new.offered_at,
            "offered_by": new.offered_by,
            "expires_at": new.expires_at,
        },
    )


async def expire(tx: TenantTx, device_id: UUID, now: datetime) -> Sequence[UUID]:
    """End offers of a device whose time is over; return which."""
    values = {"tenant_id": tx.tenant, "device_id": device_id, "now": now}
    return [row["transfer_id"] for row in await tx.all(_EXPIRE, values)]


async def withdraw(tx: TenantTx, transfer_id: UUID, now: datetime) -> UUID | None:
    """Take an offer back and return whose it is; None when none is open."""
    values = {"tenant_id": tx.tenant, "transfer_id": transfer_id, "now": now}
    row = await tx.one_or_none(_WITHDRAW, values)
    return None if row is None else row["device_id"]


async def find_arrival(tx: TenantTx, transfer_id: UUID, now: datetime) -> Arrival | None:
    """Lock an offer to this tenant that is open now."""
    values = {"tenant_id": tx.tenant, "transfer_id": transfer_id, "now": now}
    row = await tx.one_or_none(_ARRIVAL, values)
    return None if row is None else Arrival(**row)


async def accept(
    tx: TenantTx, transfer_id: UUID, *, device_id: UUID, by: str, now: datetime
) -> None:
    await _decide(tx, transfer_id, status="accepted", device_id=device_id, by=by, now=now)


async def decline(tx: TenantTx, transfer_id: UUID, *, by: str, now: datetime) -> None:
    await _decide(tx, transfer_id, status="declined", device_id=None, by=by, now=now)


async def carry(tx: TenantTx, transfer_id: UUID) -> bool:
    """Tell the other tenant what this one has just decided, in this transaction; False when it is no longer open there.

    The only statement that reaches another tenant's rows: ``carry_transfer`` of migration 0015.
    """
    row = await tx.one(
        "SELECT carry_transfer(%(transfer_id)s) AS carried", {"transfer_id": transfer_id}
    )
    return bool(row["carried"])


async def _decide(
    tx: TenantTx, transfer_id: UUID, *, status: str, device_id: UUID | None, by: str, now: datetime
) -> None:
    await tx.execute(
        _DECIDE,
        {
            "tenant_id": tx.tenant,
            "transfer_id": transfer_id,
            "status": status,
            "device_id": device_id,
            "by": by,
            "now": now,
        },
    )
