"""The shapes of what the JSON API says about device profiles, enrolment profiles and imports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from pulse_common.errors import Malformed
from pulse_common.events_fleet import MOST_HARDWARE_A_CALL
from pulse_common.ids import parse_id
from ui_iot.api_models import UUID_SCHEMA, Body, DeviceName, Query

HARDWARE_ID = "^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
LABEL = "^[a-z0-9][a-z0-9-]{0,39}$"
CERTIFICATE_PROFILE = "^[a-z][a-z0-9-]{0,31}$"
MOST_DIGITS = 9
Id = Annotated[
    UUID,
    Field(strict=False),
    BeforeValidator(lambda text: parse_id(text, "id") if isinstance(text, str) else text),
    WithJsonSchema(UUID_SCHEMA),
]
HardwareId = Annotated[str, Field(pattern=HARDWARE_ID)]
Quota = Annotated[int, Field(ge=1, le=10_000_000)]


class ProfileBody(Body):
    name: DeviceName
    tokens_allowed: bool = Field(
        default=False, description="Its devices may show the broker a token, not a certificate."
    )
    telemetry_schema: dict[str, Any] | None = Field(
        default=None,
        description="JSON Schema 2020-12 that the metrics of each reading must satisfy; `$ref` to `#/$defs/…` alone.",
    )
    certificate_profile: str = Field(default="device", pattern=CERTIFICATE_PROFILE)


class AssignBody(Body):
    profile_id: Id | None


class ProfileAnswer(BaseModel):
    id: UUID
    name: str
    tokens_allowed: bool
    telemetry_schema: dict[str, Any] | None
    certificate_profile: str
    created_at: datetime
    devices: int


class ProfilesAnswer(BaseModel):
    profiles: list[ProfileAnswer]


class AssignedAnswer(BaseModel):
    device_id: UUID
    profile_id: UUID | None


class EnrolmentBody(Body):
    name: DeviceName
    approval: Literal["auto", "hold"] = "auto"
    known_only: bool = Field(
        default=False, description="With claims: only hardware ids that were registered."
    )
    device_profile_id: Id | None = None
    status: Literal["active", "closed"] = "active"
    most_devices: Quota | None = None
    most_per_hour: Quota | None = None


class NewEnrolmentBody(EnrolmentBody):
    label: str = Field(pattern=LABEL, description="EST's label, after the tenant's id and a dot.")
    method: Literal["claim", "hardware"]


class EnrolmentAnswer(BaseModel):
    id: UUID
    name: str
    label: str
    est_label: str = Field(description="For `/.well-known/est/{est_label}/…`.")
    method: Literal["claim", "hardware"]
    approval: Literal["auto", "hold"]
    known_only: bool
    device_profile_id: UUID | None
    status: Literal["active", "closed"]
    most_devices: int | None
    most_per_hour: int | None
    devices: int = Field(description="How many it has made.")
    pending: int
    created_at: datetime


class EnrolmentsAnswer(BaseModel):
    enrolment_profiles: list[EnrolmentAnswer]


class ClaimBody(Body):
    csr: str = Field(min_length=1, max_length=16_384, description="PKCS#10 in PEM.")
    days: int = Field(default=365, ge=1, le=3650)


class ClaimAnswer(BaseModel):
    id: UUID
    serial_number: str
    not_after: datetime
    created_at: datetime
    created_by: str
    revoked_at: datetime | None
    uses: int
    last_used_at: datetime | None


class ClaimsAnswer(BaseModel):
    claim_certificates: list[ClaimAnswer]


class NewClaimAnswer(BaseModel):
    """Shown this once; what is kept is its fingerprint."""

    id: UUID
    certificate: str
    chain: str
    serial_number: str
    not_after: datetime


class HardwareItem(Body):
    hardware_id: HardwareId
    name: DeviceName | None = None
    maker_key_sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")


class RegisterBody(Body):
    items: list[HardwareItem] = Field(min_length=1, max_length=MOST_HARDWARE_A_CALL)
    secrets: bool = Field(default=False, description="Make a secret for each without a key.")


class HardwareSecret(BaseModel):
    hardware_id: str
    secret: str


class RegisteredAnswer(BaseModel):
    registered: int = Field(description="How many were new.")
    secrets: list[HardwareSecret] = Field(description="Shown this once.")


class DecisionBody(Body):
    hardware_ids: list[HardwareId] = Field(min_length=1, max_length=MOST_HARDWARE_A_CALL)
    decision: Literal["approve", "reject", "forget"]


class DecidedAnswer(BaseModel):
    changed: int


class HardwareQuery(Query):
    state: Literal["registered", "pending", "approved", "rejected", "enrolled"] | None = None
    after: str | None = Field(
        default=None, pattern=HARDWARE_ID, description="The cursor: `next_after`."
    )


class HardwareAnswer(BaseModel):
    hardware_id: str
    name: str | None
    state: str
    device_id: UUID | None
    proof: Literal["claim", "secret", "key"]
    asked_at: datetime | None
    asked_from: str | None
    asked_key_sha256: str | None = Field(description="Compare it with the device's own.")
    decided_at: datetime | None
    enrolled_at: datetime | None


class HardwarePage(BaseModel):
    hardware: list[HardwareAnswer]
    next_after: str | None


class ImportBody(Body):
    format: Literal["csv", "jsonl"]
    enrolment_profile_id: Id | None = None
    with_tokens: bool = Field(
        default=False, description="Hand an enrolment token out for each device, once."
    )


class ImportAnswer(BaseModel):
    id: UUID
    format: Literal["csv", "jsonl"]
    state: Literal["uploading", "running", "done", "failed", "cancelled"]
    reason: str | None
    received_bytes: int = Field(description="Where to go on sending.")
    read_bytes: int
    line: int
    created_devices: int
    unchanged_rows: int
    refused_rows: int
    with_tokens: bool
    tokens_taken_at: datetime | None
    enrolment_profile_id: UUID | None
    created_at: datetime
    created_by: str
    finished_at: datetime | None


class ImportsAnswer(BaseModel):
    imports: list[ImportAnswer]


class ImportStateAnswer(BaseModel):
    id: UUID
    state: str
    received_bytes: int


def read_byte(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= MOST_DIGITS):
        raise Malformed("at_byte must be a whole number")
    return int(text)


class ContentQuery(Query):
    at_byte: Annotated[
        int,
        BeforeValidator(read_byte),
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    ] = Field(description="Where these bytes belong: `received_bytes`.")


class ProblemsQuery(Query):
    after: Annotated[
        int,
        BeforeValidator(read_byte),
        WithJsonSchema({"type": "integer", "minimum": 0, "maximum": 999_999_999}),
    ] = 0


class ProblemLine(BaseModel):
    line: int
    hardware_id: str | None
    problem: str


class ProblemsAnswer(BaseModel):
    problems: list[ProblemLine]
    next_after: int | None
