"""The shapes of what the JSON API says about alerts and their rules."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, Field

from pulse_common.events_alerts import ClearReason, Direction, RuleKind
from ui_iot.api_models import Body, CanonicalId, Query
from ui_iot.group_models import DeviceId
from ui_iot.route_models import PRINTABLE
from ui_iot.telemetry_models import Cursor

DeviceIds = Annotated[list[DeviceId], Field(max_length=500)]
GroupIds = Annotated[list[DeviceId], Field(max_length=50)]
After = Annotated[Cursor | None, Field(description="The cursor: `next_after` of the page before.")]
Threshold = Annotated[float, Field(allow_inf_nan=False, ge=-1e308, le=1e308)]


class RuleBody(Body):
    """A rule; without devices and groups it is about every device."""

    name: str = Field(min_length=1, max_length=100, pattern=PRINTABLE)
    kind: RuleKind = Field(
        description="`threshold` looks at a metric, `rate` at its change a minute, `absence` at silence."
    )
    device_ids: DeviceIds = Field(default_factory=list)
    group_ids: GroupIds = Field(default_factory=list)
    metric: str | None = Field(default=None, pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")
    direction: Direction | None = None
    raise_at: Threshold | None = None
    clear_at: Threshold | None = Field(
        default=None, description="On the good side of `raise_at`, which it is if absent."
    )
    hold_seconds: int = Field(
        default=0, ge=0, le=86_400, description="How long it must be so to raise, and to clear."
    )
    silent_seconds: int | None = Field(default=None, ge=60, le=2_592_000)
    by_mail: bool = False
    enabled: bool = True


class RuleAnswer(BaseModel):
    id: UUID
    name: str
    kind: RuleKind
    device_ids: list[UUID]
    group_ids: list[UUID]
    metric: str | None
    direction: Direction | None
    raise_at: float | None
    clear_at: float | None
    hold_seconds: int
    silent_seconds: int | None
    by_mail: bool
    enabled: bool
    created_at: datetime
    raised: int = Field(description="How many devices meet it now.")


class RulesAnswer(BaseModel):
    rules: list[RuleAnswer] = Field(description="By name; a tenant has at most 100.")


class AlertsQuery(Query):
    state: Literal["open", "cleared"] | None = None
    rule_id: CanonicalId | None = None
    device_id: CanonicalId | None = None
    after: After = None


class AlertAnswer(BaseModel):
    id: UUID
    rule_id: UUID
    rule: str
    kind: RuleKind
    device_id: UUID
    device: str | None = Field(description="Its name; null when it is gone.")
    metric: str | None
    value: float | None = Field(description="What raised it; of `rate` the change a minute.")
    raised_at: datetime
    cleared_at: datetime | None
    clear_reason: ClearReason | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None


class AlertsAnswer(BaseModel):
    alerts: list[AlertAnswer] = Field(
        description="Newest first, 100 a page; a tenant's newest 10,000 are kept."
    )
    next_after: str | None = Field(description="The cursor of the next page; null on the last.")


class AcknowledgedAnswer(BaseModel):
    acknowledged_at: datetime = Field(description="When it was first.")
