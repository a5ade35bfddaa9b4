"""Dead letters delivered anew: one, or those of a time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from delivery_worker import acts, dead_store
from pulse_common import delivery_events as calls
from pulse_common.errors import Conflict, NotFound
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from delivery_worker.placing import Placing
    from pulse_common.tenancy import Database, Row

MOST_REPLAYED = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaying:
    db: Database
    placing: Placing

    async def replay(self, asked: calls.ReplayDeadRequest) -> calls.ReplayedReply:
        """Put dead letters back into their lane; a crash in between delivers them twice, under the same id."""
        async with self.db.tenant_connection(TenantId(asked.tenant_id)) as tx:
            route = await acts.find(tx, asked)
            if route.status == "unverified":
                raise Conflict("verify the route first: its endpoint has to answer the challenge")
            dead = await dead_store.lock_dead(
                tx,
                asked.route_id,
                delivery_id=asked.delivery_id,
                since=asked.since,
                until=asked.until,
                limit=MOST_REPLAYED,
            )
            if asked.delivery_id and not dead:
                raise NotFound("no such dead letter")
            placed = await self._place(dead)
            if dead and not placed:
                raise Conflict("as many messages wait for this route as may: deliver those first")
            await dead_store.exhume(tx, placed)
            await acts.record(tx, asked, "delivery.replay", {"replayed": len(placed)})
        return calls.ReplayedReply(replayed=len(placed))

    async def _place(self, dead: Sequence[Row]) -> list[str]:
        """Place dead letters while there is room, the oldest first, and return the ids of those that were."""
        placed = []
        for letter in dead:
            # Another name for the stream, which has seen the first one.
            again = f"{letter['delivery_id']}-{letter['died_at'].timestamp()}"
            delivery = calls.Delivery.model_validate_json(letter["message"])
            if not await self.placing.place(delivery, again):
                break
            placed.append(delivery.delivery_id)
        return placed
