"""What operators ask of cert_worker about roll-overs; it keeps and judges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from pulse_common import events_rollover as wire
from pulse_common.ids import parse_id

if TYPE_CHECKING:
    from uuid import UUID

    from pulse_common.bus import Bus
    from ui_iot.operators import Operator, Operators

# A step reads every list of the new authority at its address, and shakes hands with the broker.
SECONDS = 30.0


class PlanBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    new_issuer_id: str
    least_share: float = Field(default=0.95, ge=0, le=1)
    drain_days: int = Field(default=30, ge=0, le=366)


class StepBody(BaseModel):
    """``from_state``: what the one who asks has seen, so that asking twice takes one step."""

    model_config = ConfigDict(extra="forbid")
    from_state: wire.RolloverState
    broker_seen_to: bool = False


class BackBody(BaseModel):
    model_config = ConfigDict(extra="forbid")
    from_state: wire.RolloverState


@dataclass(frozen=True, slots=True)
class Rollovers:
    bus: Bus
    operators: Operators

    async def all(self, who: Operator) -> wire.RolloversReply:
        await self.operators.note(who, "look at the authorities")
        return await self.bus.call(wire.RolloversRequest(), wire.RolloversReply, seconds=SECONDS)

    async def plan(self, who: Operator, body: PlanBody) -> wire.RolloverSeen:
        asked = wire.PlanRolloverRequest(
            new_issuer_id=parse_id(body.new_issuer_id, "new_issuer_id"),
            least_share=body.least_share,
            drain_days=body.drain_days,
            actor_id=who.id,
            reason=who.reason,
        )
        return await self.bus.call(asked, wire.RolloverSeen, seconds=SECONDS)

    async def step(self, who: Operator, rollover: UUID, body: StepBody) -> wire.RolloverSeen:
        asked = wire.StepRolloverRequest(
            rollover_id=rollover,
            from_state=body.from_state,
            direction="forward",
            broker_seen_to=body.broker_seen_to,
            actor_id=who.id,
            reason=who.reason,
        )
        return await self.bus.call(asked, wire.RolloverSeen, seconds=SECONDS)

    async def back(self, who: Operator, rollover: UUID, body: BackBody) -> wire.RolloverSeen:
        asked = wire.StepRolloverRequest(
            rollover_id=rollover,
            from_state=body.from_state,
            direction="back",
            actor_id=who.id,
            reason=who.reason,
        )
        return await self.bus.call(asked, wire.RolloverSeen, seconds=SECONDS)

    async def activate(self, who: Operator, issuer: UUID) -> wire.IssuerReply:
        asked = wire.ActivateIssuerRequest(issuer_id=issuer, actor_id=who.id, reason=who.reason)
        return await self.bus.call(asked, wire.IssuerReply, seconds=SECONDS)
