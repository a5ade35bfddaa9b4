"""The shapes of the API about the broker's gate: refusals, dry runs, and what is wrong in the fleet."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from ui_iot.api_models import Body

LONGEST_TOPIC = 1000


class DenialAnswer(BaseModel):
    at: datetime
    action: Literal["connect", "publish", "subscribe"]
    reason: str = Field(description="A code; `text` says it in words.")
    text: str
    rule: str | None = Field(description="What decided it, when it was one of the device's rules.")
    topic: str | None
    serial_number: str | None = Field(description="Of the certificate that was shown, in hex.")
    address: str | None
    times: int = Field(description="How many equal refusals within a minute this one stands for.")


class DenialsAnswer(BaseModel):
    denials: list[DenialAnswer] = Field(description="Newest first; the last 100.")


class DryRunBody(Body):
    action: Literal["connect", "publish", "subscribe"]
    topic: str = Field(default="", max_length=LONGEST_TOPIC)
    qos: Literal[0, 1, 2] = 0
    retain: bool = False
    at: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        default=None, description="When; now, if left out. States are judged as they are now."
    )
    credential: Literal["any", "certificate", "token"] = Field(
        default="any",
        description="What the device would show; any is the one that lets it in, the certificate first.",
    )


class DryRunAnswer(BaseModel):
    allowed: bool
    reason: str
    text: str
    rule: str | None
    serial_number: str | None = Field(
        description="Of the certificate that the device would show; of a token, its id."
    )
    credential: Literal["certificate", "token"] | None = None


class FindingAnswer(BaseModel):
    check: str
    device_id: UUID
    device_name: str
    text: str
    act: str = Field(description="What to do about it.")


class FindingsAnswer(BaseModel):
    findings: list[FindingAnswer] = Field(description="The first 100 of each check.")
    unchecked_keys: int = Field(
        default=0, description="Certificates whose keys have not been looked at yet."
    )
