"""SQL about what an ordered route put aside: the first message of each device waits for its time, the others for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.delivery_events import Delivery
    from pulse_common.tenancy import TenantTx, Tx

CLAIMED_FOR: Final = timedelta(seconds=60)
"""Longer than an attempt takes: what a killed replica had claimed is free for another then."""

_COUNT = """
    SELECT count(*) AS of_route,
           count(*) FILTER (WHERE device_id IS NOT DISTINCT FROM %(device_id)s::uuid) AS of_device
      FROM delivery_held WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
"""
# A message that comes again after a crash was put aside already.
_HOLD = """
    INSERT INTO delivery_held (tenant_id, route_id, delivery_id, device_id, attempts, due_at, message)
    SELECT tenant_id, route_id, %(delivery_id)s, %(device_id)s, %(attempts)s, %(due_at)s, %(message)s
      FROM routes WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
    ON CONFLICT (tenant_id, route_id, delivery_id) DO NOTHING
"""
# Who comes second finds another claim than it looked for, and gets nothing.
_CLAIM = """
    UPDATE delivery_held h SET claimed_until = %(until)s
      FROM (SELECT delivery_id, claimed_until FROM (
                SELECT DISTINCT ON (device_id) delivery_id, due_at, claimed_until, position FROM delivery_held
                 WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
                 ORDER BY device_id, position) firsts
             WHERE due_at <= %(before)s AND claimed_until <= %(at)s ORDER BY due_at, position LIMIT 1) first
     WHERE h.tenant_id = %(tenant_id)s AND h.route_id = %(route_id)s
       AND h.delivery_id = first.delivery_id AND h.claimed_until = first.claimed_until
    RETURNING h.delivery_id, h.claimed_until, h.message, h.attempts, h.due_at
"""
_RELEASE = """
    UPDATE delivery_held SET claimed_until = '-infinity'
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND delivery_id = %(delivery_id)s
       AND claimed_until = %(claimed_until)s
"""
_AGAIN = """
    UPDATE delivery_held SET attempts = %(attempts)s, due_at = %(due_at)s, claimed_until = '-infinity'
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND delivery_id = %(delivery_id)s
"""
_ALL_DUE = """
    UPDATE delivery_held SET due_at = %(at)s
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND due_at > %(at)s
"""
_END = """
    DELETE FROM delivery_held
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s AND delivery_id = %(delivery_id)s
"""
_LANES = (
    "SELECT tenant_id, route_id, count(*) AS held FROM delivery_held GROUP BY tenant_id, route_id"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One message that is ours for a minute."""

    delivery_id: str
    claimed_until: datetime
    message: str
    attempts: int
    due_at: datetime


async def count(tx: TenantTx, route_id: UUID, device: UUID | None) -> tuple[int, int]:
    """Count what is put aside for the route, and what of it is the device's."""
    values = {"tenant_id": tx.tenant, "route_id": route_id, "device_id": device}
    row = await tx.one(_COUNT, values)
    return int(row["of_route"]), int(row["of_device"])


async def hold(tx: TenantTx, delivery: Delivery, attempts: int, due_at: datetime) -> None:
    values = {
        "device_id": delivery.device_id,
        "attempts": attempts,
        "due_at": due_at,
        "message": delivery.model_dump_json(),
    }
    await tx.execute(_HOLD, {**_key(tx, delivery), **values})


async def claim(tx: TenantTx, route_id: UUID, before: datetime, at: datetime) -> Claim | None:
    """Take the first message of a device that is due ``before`` a time, the one that is due longest."""
    values = {"tenant_id": tx.tenant, "route_id": route_id, "before": before, "at": at}
    row = await tx.one_or_none(_CLAIM, {**values, "until": at + CLAIMED_FOR})
    return None if row is None else Claim(**row)


async def release(tx: TenantTx, route_id: UUID, claim: Claim) -> None:
    """Let others have what was claimed and not worked out; nothing happens when it is no longer that claim."""
    claimed = {"delivery_id": claim.delivery_id, "claimed_until": claim.claimed_until}
    await tx.execute(_RELEASE, {"tenant_id": tx.tenant, "route_id": route_id, **claimed})


async def again(tx: TenantTx, delivery: Delivery, attempts: int, due_at: datetime) -> None:
    await tx.execute(_AGAIN, {**_key(tx, delivery), "attempts": attempts, "due_at": due_at})


async def all_due(tx: TenantTx, route_id: UUID, at: datetime) -> None:
    """Let nothing wait for its time any more: the endpoint works again."""
    await tx.execute(_ALL_DUE, {"tenant_id": tx.tenant, "route_id": route_id, "at": at})


async def end(tx: TenantTx, delivery: Delivery) -> None:
    await tx.execute(_END, _key(tx, delivery))


async def lanes(tx: Tx) -> Sequence[tuple[UUID, UUID, int]]:
    """Return the tenant and route of each lane that put something aside, and how much."""
    return [(row["tenant_id"], row["route_id"], row["held"]) for row in await tx.all(_LANES)]


def _key(tx: TenantTx, delivery: Delivery) -> dict[str, object]:
    return {
        "tenant_id": tx.tenant,
        "route_id": delivery.route_id,
        "delivery_id": delivery.delivery_id,
    }
