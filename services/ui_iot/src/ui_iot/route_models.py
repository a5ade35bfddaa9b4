"""The shapes of what the JSON API says about routes and deliveries."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field, WithJsonSchema

from pulse_common.delivery_events import EVENT_TYPES, RouteStatus
from ui_iot.api_models import UUID_SCHEMA, Body, CanonicalId, Query

Stage = Literal["before", "during", "after"]
STAGES = "`before`: nothing was sent; `during`: no whole answer came; `after`: an answer came."
DELIVERY_ID = "^msg_[0-9a-f]{1,64}$"
PRINTABLE = r"^[^\u0000-\u001f\u007f]+$"
EventType = Annotated[str, WithJsonSchema({"type": "string", "enum": list(EVENT_TYPES)})]
DeviceId = Annotated[str, Field(pattern=UUID_SCHEMA["pattern"]), WithJsonSchema(dict(UUID_SCHEMA))]


class RouteBody(Body):
    name: str = Field(min_length=1, max_length=100, pattern=PRINTABLE)
    url: str = Field(max_length=2000, pattern=r"^https?://[!-~]+$")
    event_types: list[EventType] = Field(min_length=1, max_length=30)
    device_ids: list[DeviceId] = Field(
        default_factory=list,
        max_length=500,
        description="These devices and those of `group_ids`; both empty: every device.",
    )
    group_ids: list[DeviceId] = Field(
        default_factory=list, max_length=50, description="Device groups, as they are at the moment."
    )
    metrics: list[Annotated[str, Field(min_length=1, max_length=64, pattern=PRINTABLE)]] = Field(
        default_factory=list, max_length=100, description="Empty: every metric."
    )
    template: str | None = Field(
        default=None,
        min_length=1,
        max_length=4096,
        pattern=r"^[^\u0000]+$",
        description="JSON with `{{ data.device_id }}` where a value goes; null sends the message itself.",
    )
    ordered: bool = Field(
        default=False,
        description="Each device's messages in their order; one that fails holds up its own device's.",
    )
    timeout_seconds: int = Field(default=10, ge=1, le=30)
    concurrency: int = Field(default=4, ge=1, le=16)


class ReplayBody(Body):
    """Which dead letters: one, or those that died within a time; nothing is all of them, 1,000 a call."""

    delivery_id: str | None = Field(default=None, pattern=DELIVERY_ID)
    since: Annotated[AwareDatetime | None, Field(strict=False)] = None
    until: Annotated[AwareDatetime | None, Field(strict=False)] = None


class EventTypeAnswer(BaseModel):
    type: str
    what: str


class EventTypesAnswer(BaseModel):
    event_types: list[EventTypeAnswer]


class RouteAnswer(BaseModel):
    id: UUID
    name: str
    url: str
    event_types: list[str]
    device_ids: list[UUID]
    group_ids: list[UUID]
    metrics: list[str]
    template: str | None
    ordered: bool
    timeout_seconds: int
    concurrency: int
    status: RouteStatus
    failing_since: datetime | None = Field(description="Null while it works.")
    dead_letters: int
    dropped: int = Field(description="Messages that found no room, since ever.")
    dropped_at: datetime | None
    created_at: datetime


class RoutesAnswer(BaseModel):
    routes: list[RouteAnswer]


class CreatedRouteAnswer(BaseModel):
    """The secret is shown this once."""

    route: RouteAnswer
    secret: str


class SecretAnswer(BaseModel):
    """Shown this once; the one before signs too for 24 hours."""

    secret: str


class AttemptAnswer(BaseModel):
    stage: Stage = Field(description=STAGES)
    delivered: bool
    status: int | None
    error: str | None
    latency_ms: int
    response_body: str = Field(description="At most 1 KiB.")


class ReplayedAnswer(BaseModel):
    replayed: int


class DeliveriesQuery(Query):
    route_id: CanonicalId | None = None
    device_id: CanonicalId | None = None
    outcome: Literal["delivered", "failed"] | None = None
    stage: Stage | None = Field(default=None, description=STAGES)
    event_type: Annotated[str | None, Field(max_length=100, pattern=r"^[a-z_.]+$")] = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    after: CanonicalId | None = Field(
        default=None, description="The cursor: `next_after` of the page before."
    )


class DeliveryAnswer(AttemptAnswer):
    id: UUID
    route_id: UUID
    delivery_id: str
    event_type: str
    device_id: UUID | None
    attempt: int
    attempted_at: datetime


class DeliveriesAnswer(BaseModel):
    deliveries: list[DeliveryAnswer] = Field(description="Newest first.")
    next_after: UUID | None


class RouteDeadLettersQuery(Query):
    device_id: CanonicalId | None = None
    since: AwareDatetime | None = Field(default=None, description="Died from then on.")
    until: AwareDatetime | None = Field(default=None, description="Died before.")
    after: Annotated[str | None, Field(pattern=r"^[0-9]{1,18}_msg_[0-9a-f]{1,64}$")] = Field(
        default=None, description="The cursor: `next_after` of the page before."
    )


class RouteDeadLetterAnswer(BaseModel):
    delivery_id: str
    event_type: str
    device_id: UUID | None
    died_at: datetime
    attempts: int
    reason: str


class RouteDeadLetterShownAnswer(RouteDeadLetterAnswer):
    body: str = Field(description="What would have been sent.")


class RouteDeadLettersAnswer(BaseModel):
    dead_letters: list[RouteDeadLetterAnswer] = Field(description="Newest first.")
    next_after: str | None
