"""The shapes of the API about readings over time, and about what was refused, limited and commanded."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, Field, WithJsonSchema

from pulse_common.errors import Malformed
from pulse_common.events import MetricValue
from ui_iot.api_models import Query

LONGEST_BUCKET_SECONDS = 86_400
MetricName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,63}$")]
Cursor = Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[0-9A-Za-z:.+_-]*$")]


def read_bucket(text: str) -> int:
    readable = text.isascii() and text.isdecimal() and len(text) <= len("86400")
    if not readable or not 1 <= int(text) <= LONGEST_BUCKET_SECONDS:
        raise Malformed(f"bucket_seconds must be a whole number from 1 to {LONGEST_BUCKET_SECONDS}")
    return int(text)


BucketSeconds = Annotated[
    int,
    BeforeValidator(read_bucket),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LONGEST_BUCKET_SECONDS}),
]


class RangeQuery(Query):
    since: AwareDatetime | None = Field(default=None, description="A day before `until` if absent.")
    until: AwareDatetime | None = Field(default=None, description="Now if absent; not included.")
    metric: MetricName | None = Field(default=None, description="This one alone.")


class ReadingsQuery(RangeQuery):
    after: Cursor | None = Field(
        default=None, description="The cursor: `next_after` of the page before."
    )


class BucketsQuery(RangeQuery):
    metric: MetricName = Field(description="Its numbers; values of other types are left out.")
    bucket_seconds: BucketSeconds = Field(
        default=300, description="Buckets begin at multiples of it since 1970; at most 2,000."
    )


class ExportQuery(RangeQuery):
    format: Literal["csv", "jsonl", "parquet"] = "csv"


class ReadingAnswer(BaseModel):
    ts: datetime
    received_at: datetime
    metrics: dict[str, MetricValue]


class ReadingsAnswer(BaseModel):
    readings: list[ReadingAnswer] = Field(description="Newest first, 500 a page.")
    next_after: str | None = Field(description="The cursor of the next page; null on the last.")


class BucketAnswer(BaseModel):
    start: datetime
    count: int
    minimum: float
    average: float
    maximum: float


class BucketsAnswer(BaseModel):
    buckets: list[BucketAnswer] = Field(description="Oldest first; empty ones are left out.")


class PageQuery(Query):
    after: Cursor | None = Field(
        default=None, description="The cursor: `next_after` of the page before."
    )


class DeadLetterAnswer(BaseModel):
    letter_id: UUID
    device_id: UUID
    kind: Literal["telemetry", "state", "command/ack"]
    reason: str = Field(description="A code; `text` says it in words.")
    text: str
    detail: str | None = Field(description="Where in the message, and what, if that is known.")
    received_at: datetime
    size_bytes: int
    payload_base64: str = Field(description="The first 4 KiB of what the device sent.")


class DeadLettersAnswer(BaseModel):
    dead_letters: list[DeadLetterAnswer] = Field(
        description="Newest first, 100 a page; a tenant's newest 1,000 are kept."
    )
    next_after: str | None = Field(description="The cursor of the next page; null on the last.")


class LimitAnswer(BaseModel):
    device_id: UUID | None = Field(description="Null: the tenant's own bucket.")
    bucket: Literal[
        "device_messages", "device_bytes", "tenant_messages", "tenant_bytes", "tenant_month"
    ]
    outcome: Literal["dropped", "deferred"]
    since: datetime
    until: datetime = Field(description="When something was over it last.")
    refills_at: datetime = Field(description="When it has room again.")
    messages: int
    size_bytes: int


class LimitsAnswer(BaseModel):
    limits: list[LimitAnswer] = Field(description="The latest first; the last 100.")


class CommandSeen(BaseModel):
    command_id: UUID
    name: str
    arguments: dict[str, MetricValue]
    actor_id: str
    state: Literal["asked", "sent", "not_sent", "acknowledged", "failed", "timed_out"]
    created_at: datetime
    expires_at: datetime
    settled_at: datetime | None
    result: str | None = Field(description="What the device, or whoever refused it, said.")


class CommandsAnswer(BaseModel):
    commands: list[CommandSeen] = Field(description="Newest first, 100 a page.")
    next_after: str | None = Field(description="The cursor of the next page; null on the last.")
