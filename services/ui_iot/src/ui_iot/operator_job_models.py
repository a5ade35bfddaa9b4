"""What operators see of deliveries and of the work that runs by itself: how far, how late, never what it says."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from ui_iot.access_models import Shown
from ui_iot.api_models import Query


class Outcome(Shown):
    """One attempt of a delivery; what was sent and what came back are the tenant's."""

    at: datetime
    attempt: int
    stage: str
    delivered: bool
    status: int | None
    latency_ms: int


class RouteHealth(Shown):
    tenant_id: UUID
    tenant_name: str
    id: UUID
    event_types: list[str]
    ordered: bool
    status: str
    failing_since: datetime | None
    dropped: int = Field(
        description="Messages that were not placed, because as many waited as may."
    )
    waiting: int | None = Field(description="Messages that wait; null while the stream is away.")
    dead: int = Field(description="Messages that could not be delivered.")
    recent: list[Outcome] = Field(description="The newest attempts, newest first.")


class DeliveriesAnswer(Shown):
    routes: list[RouteHealth]
    next_after: str | None = Field(description="The cursor of the next page; null on the last.")


class DeliveriesQuery(Query):
    tenant_id: UUID | None = None
    state: Literal["failing", "unverified", "active", "paused", "disabled"] | None = None
    after: str | None = Field(
        default=None, max_length=80, description="The cursor: `next_after` of the page before."
    )


class Job(Shown):
    """One kind of work; what does not apply to it is null."""

    name: str
    about: str
    last_at: datetime | None = None
    waiting: int | None = Field(default=None, description="At most 10,001: more are not counted.")
    oldest_at: datetime | None = None
    late: bool = False


class Consumer(Shown):
    name: str
    waiting: int
    under_way: int
    tried_again: int


class Stream(Shown):
    name: str
    messages: int
    size_bytes: int
    consumers: list[Consumer]


class Parked(Shown):
    """Messages that a consumer could not process."""

    consumer: str
    subject: str
    messages: int


class JobsAnswer(Shown):
    jobs: list[Job]
    streams: list[Stream] | None = Field(description="Null while the message bus is away.")
    parked: list[Parked] | None
