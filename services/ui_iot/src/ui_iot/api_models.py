"""The shapes of the JSON API: each request is validated by one of these, each answer is made from one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from pulse_common.errors import Malformed
from pulse_common.events import MetricValue, RevocationReason
from pulse_common.ids import parse_id

DEFAULT_SPAN_SECONDS = 300
LONGEST_SPAN_SECONDS = 24 * 3600
MOST_SPAN_DIGITS = len(str(LONGEST_SPAN_SECONDS))
LONGEST_NAME = 100

UUID_SCHEMA = {
    "type": "string",
    "format": "uuid",
    "pattern": "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$",
}


def read_span(text: str) -> int:
    readable = text.isascii() and text.isdecimal() and len(text) <= MOST_SPAN_DIGITS
    if not readable or not 1 <= int(text) <= LONGEST_SPAN_SECONDS:
        raise Malformed(f"since_seconds must be a whole number from 1 to {LONGEST_SPAN_SECONDS}")
    return int(text)


# 1e999 is JSON, and infinity to Python.
Argument = Annotated[float, Field(allow_inf_nan=False)] | bool | str
DeviceName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=LONGEST_NAME,
        description="Kept in Unicode's form NFC without spaces round it; no control or invisible characters.",
    ),
]
CanonicalId = Annotated[
    UUID, BeforeValidator(lambda text: parse_id(text, "after")), WithJsonSchema(UUID_SCHEMA)
]
Span = Annotated[
    int,
    BeforeValidator(read_span),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": LONGEST_SPAN_SECONDS}),
]


class Body(BaseModel):
    """What a caller sends: exactly these fields, of exactly these types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class CreateDeviceBody(Body):
    name: DeviceName
    profile_id: Annotated[
        UUID | None,
        Field(strict=False, description="The device profile that it gets."),
        BeforeValidator(
            lambda text: parse_id(text, "profile_id") if isinstance(text, str) else text
        ),
        WithJsonSchema({"anyOf": [UUID_SCHEMA, {"type": "null"}]}),
    ] = None


class RenameDeviceBody(Body):
    name: DeviceName


class RevokeBody(Body):
    reason: RevocationReason


class CommandBody(Body):
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")
    arguments: dict[str, Argument] = Field(default_factory=dict, max_length=32)
    expires_in_seconds: int = Field(
        default=60, ge=1, le=86_400, description="After that the device must not obey it."
    )


class Query(BaseModel):
    """The query string's parameters; unknown ones are left alone."""

    model_config = ConfigDict(frozen=True)


class DevicesQuery(Query):
    after: CanonicalId | None = Field(
        default=None, description="The cursor: `next_after` of the page before."
    )


class TelemetryQuery(Query):
    since_seconds: Span = Field(default=DEFAULT_SPAN_SECONDS, description="How far back to look.")


class DeviceAnswer(BaseModel):
    id: UUID
    name: str
    status: Literal["live", "offline", "never", "cut_off"]
    created_at: datetime
    last_seen_at: datetime | None
    latest: dict[str, MetricValue] = Field(description="The newest value of each metric.")


class DevicesAnswer(BaseModel):
    devices: list[DeviceAnswer] = Field(description="Newest first.")
    next_after: UUID | None = Field(description="The cursor of the next page; null on the last.")


class EnrolmentToken(BaseModel):
    """Shown this once; only its hash is kept where it is checked."""

    token: str
    expires_at: datetime


class CreatedAnswer(BaseModel):
    device: DeviceAnswer
    enrolment_token: EnrolmentToken


class PointAnswer(BaseModel):
    ts: int = Field(description="Milliseconds since 1970, UTC.")
    metrics: dict[str, MetricValue]


class TelemetryAnswer(BaseModel):
    points: list[PointAnswer] = Field(
        description="Oldest first; the newest ones when there are many."
    )


class RevokedAnswer(BaseModel):
    revoked: int = Field(description="How many certificates were valid until now.")
    revoked_at: datetime


class CommandAnswer(BaseModel):
    command_id: UUID


class Problem(BaseModel):
    """An error, as RFC 9457 has it."""

    type: str = Field(pattern="^urn:pulse:problem:[a-z_]+$")
    title: str
    status: int = Field(ge=400, le=599)
    detail: str
    instance: str | None = Field(default=None, pattern="^urn:pulse:request:")
