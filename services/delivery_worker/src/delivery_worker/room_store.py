"""SQL about what found no room, what is kept no longer, and whose turn it is."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from pulse_common.tenancy import TenantTx, Tx

TOLD_EVERY = timedelta(days=1)
FORGOTTEN_AT_ONCE = 5000

_DROPPED = """
    UPDATE routes SET dropped = dropped + %(count)s, dropped_at = %(at)s
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
"""
_TELL = """
    UPDATE routes SET dropped_told_at = %(at)s
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
       AND (dropped_told_at IS NULL OR dropped_told_at <= %(before)s)
    RETURNING name
"""
_TENANTS = "SELECT DISTINCT tenant_id FROM routes ORDER BY tenant_id"
_FORGET = """
    DELETE FROM delivery_attempts
     WHERE tenant_id = %(tenant_id)s
       AND attempt_id IN (SELECT attempt_id FROM delivery_attempts
                           WHERE tenant_id = %(tenant_id)s AND attempted_at < %(before)s LIMIT %(limit)s)
"""
_FORGET_DEAD = """
    DELETE FROM delivery_dead_letters
     WHERE tenant_id = %(tenant_id)s
       AND delivery_id IN (SELECT delivery_id FROM delivery_dead_letters
                            WHERE tenant_id = %(tenant_id)s AND died_at < %(before)s LIMIT %(limit)s)
"""
_TAKE = """
    INSERT INTO delivery_turns (name, holder, until)
    VALUES (%(name)s, %(holder)s, now() + make_interval(secs => %(seconds)s))
    ON CONFLICT (name) DO UPDATE SET holder = EXCLUDED.holder, until = EXCLUDED.until
     WHERE delivery_turns.holder = EXCLUDED.holder OR delivery_turns.until < now()
"""
_END = "UPDATE delivery_turns SET until = now() - interval '1 second' WHERE name = %(name)s AND holder = %(holder)s"


async def count_dropped(tx: TenantTx, route_id: UUID, count: int, at: datetime) -> None:
    values = {"tenant_id": tx.tenant, "route_id": route_id, "count": count, "at": at}
    await tx.execute(_DROPPED, values)


async def claim_telling(tx: TenantTx, route_id: UUID, at: datetime) -> str | None:
    """Return the route's name when its tenant is to hear of it now."""
    values = {"tenant_id": tx.tenant, "route_id": route_id, "at": at, "before": at - TOLD_EVERY}
    row = await tx.one_or_none(_TELL, values)
    return None if row is None else str(row["name"])


async def tenants_with_routes(tx: Tx) -> Sequence[UUID]:
    return [UUID(str(row["tenant_id"])) for row in await tx.all(_TENANTS)]


async def forget(tx: TenantTx, before: datetime) -> bool:
    """Delete some of what is older; true when there may be more."""
    values = {"tenant_id": tx.tenant, "before": before, "limit": FORGOTTEN_AT_ONCE}
    gone = [await tx.execute(statement, values) for statement in (_FORGET, _FORGET_DEAD)]
    return max(gone) == FORGOTTEN_AT_ONCE


async def take_turn(tx: Tx, name: str, holder: UUID, seconds: float) -> bool:
    """Take or keep the turn; false while it is somebody else's."""
    values = {"name": name, "holder": holder, "seconds": seconds}
    return await tx.execute(_TAKE, values) > 0


async def end_turn(tx: Tx, name: str, holder: UUID) -> None:
    await tx.execute(_END, {"name": name, "holder": holder})
