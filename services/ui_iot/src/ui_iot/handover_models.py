"""The shapes of the API about what ends and moves: certificates that expire, rescues, transfers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from pulse_common import events_rescue, events_transfer
from pulse_common.ids import parse_uuid
from ui_iot.api_models import UUID_SCHEMA, Body, EnrolmentToken

State = Literal["offered", "accepted", "declined", "withdrawn", "expired"]
TenantId = Annotated[
    UUID,
    BeforeValidator(lambda text: parse_uuid(text) if isinstance(text, str) else text),
    WithJsonSchema(UUID_SCHEMA),
]


class RescueBody(Body):
    seconds: int = Field(
        default=events_rescue.USUAL_SECONDS,
        ge=events_rescue.SHORTEST_SECONDS,
        le=events_rescue.LONGEST_SECONDS,
        description="How long the device may come.",
    )


class RescueAnswer(BaseModel):
    rescue_id: UUID
    serial_number: str = Field(description="Of the certificate that has expired.")
    ends_at: datetime


class RescueClosedAnswer(BaseModel):
    closed: bool = Field(description="Whether one was open until now.")


class OfferBody(Body):
    offered_to: TenantId = Field(description="The id of the tenant that is to have the device.")
    seconds: int = Field(
        default=events_transfer.USUAL_SECONDS,
        ge=events_transfer.SHORTEST_SECONDS,
        le=events_transfer.LONGEST_SECONDS,
    )


class OfferAnswer(BaseModel):
    transfer_id: UUID
    expires_at: datetime


class GivenAnswer(BaseModel):
    transfer_id: UUID
    device_id: UUID
    device_name: str
    offered_to: UUID
    status: State
    offered_at: datetime
    expires_at: datetime
    decided_at: datetime | None


class ArrivingAnswer(BaseModel):
    transfer_id: UUID
    from_name: str
    device_name: str
    status: State
    offered_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    device_id: UUID | None = Field(description="Your own device that it became.")


class TransfersAnswer(BaseModel):
    """The newest 200 of each side."""

    given: list[GivenAnswer]
    arriving: list[ArrivingAnswer]


class AcceptedAnswer(BaseModel):
    device_id: UUID
    device_name: str
    enrolment_token: EnrolmentToken


class TransferEndedAnswer(BaseModel):
    transfer_id: UUID
    status: Literal["withdrawn", "declined"]


class ExpiringDevice(BaseModel):
    device_id: UUID
    device_name: str
    serial_number: str
    expires_at: datetime


class ExpiringAnswer(BaseModel):
    """Those that expired within the last 30 days and those that will within the next; soonest first, 200 at most."""

    devices: list[ExpiringDevice]
