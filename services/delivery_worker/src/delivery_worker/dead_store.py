"""SQL about dead letters: what could not be delivered, as it would have been sent."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime
    from uuid import UUID

    from pulse_common.delivery_events import Delivery
    from pulse_common.tenancy import Row, TenantTx

_BURY = """
    INSERT INTO delivery_dead_letters (tenant_id, delivery_id, route_id, event_type, device_id, died_at, attempts,
                                       reason, message)
    SELECT tenant_id, %(delivery_id)s, route_id, %(event_type)s, %(device_id)s, %(at)s, %(attempts)s, %(reason)s,
           %(message)s
      FROM routes WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
    ON CONFLICT (tenant_id, delivery_id) DO UPDATE
        SET died_at = EXCLUDED.died_at, attempts = EXCLUDED.attempts, reason = EXCLUDED.reason
"""
_DEAD = """
    SELECT delivery_id, died_at, message FROM delivery_dead_letters
     WHERE tenant_id = %(tenant_id)s AND route_id = %(route_id)s
       AND (%(delivery_id)s::text IS NULL OR delivery_id = %(delivery_id)s)
       AND (%(since)s::timestamptz IS NULL OR died_at >= %(since)s)
       AND (%(until)s::timestamptz IS NULL OR died_at < %(until)s)
     ORDER BY died_at LIMIT %(limit)s
       FOR UPDATE
"""
_EXHUME = "DELETE FROM delivery_dead_letters WHERE tenant_id = %(tenant_id)s AND delivery_id = ANY(%(ids)s)"


async def bury(tx: TenantTx, delivery: Delivery, attempts: int, at: datetime, reason: str) -> None:
    message = delivery.model_dump_json()
    values = {"attempts": attempts, "at": at, "reason": reason[:300], "message": message}
    await tx.execute(
        _BURY, {**delivery.model_dump(exclude={"body"}), "tenant_id": tx.tenant, **values}
    )


async def lock_dead(
    tx: TenantTx,
    route_id: UUID,
    *,
    delivery_id: str | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> Sequence[Row]:
    values = {"delivery_id": delivery_id, "since": since, "until": until, "limit": limit}
    return await tx.all(_DEAD, {"tenant_id": tx.tenant, "route_id": route_id, **values})


async def exhume(tx: TenantTx, delivery_ids: Sequence[str]) -> None:
    await tx.execute(_EXHUME, {"tenant_id": tx.tenant, "ids": list(delivery_ids)})
