"""The shapes of what the JSON API says about device groups."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, Field, WithJsonSchema

from pulse_common.events_groups import MOST_AT_ONCE
from ui_iot.api_models import UUID_SCHEMA, Body, CanonicalId, DeviceName, Query

DeviceId = Annotated[str, Field(pattern=UUID_SCHEMA["pattern"]), WithJsonSchema(dict(UUID_SCHEMA))]
DeviceIds = Annotated[list[DeviceId], Field(default_factory=list, max_length=MOST_AT_ONCE)]


class GroupBody(Body):
    name: DeviceName


class MembersBody(Body):
    """Who is in already, or out, stays so."""

    join: DeviceIds
    leave: DeviceIds


class GroupAnswer(BaseModel):
    id: UUID
    name: str
    devices: int = Field(description="How many are in it.")
    created_at: datetime


class GroupsAnswer(BaseModel):
    groups: list[GroupAnswer] = Field(description="By name; a tenant has at most 500.")


class MembersAnswer(BaseModel):
    joined: int
    left: int


class GroupDevicesQuery(Query):
    after: CanonicalId | None = Field(
        default=None, description="The cursor: `next_after` of the page before."
    )


class GroupDeviceAnswer(BaseModel):
    id: UUID
    name: str


class GroupDevicesAnswer(BaseModel):
    devices: list[GroupDeviceAnswer] = Field(description="By id, 500 a page.")
    next_after: UUID | None = Field(description="The cursor of the next page; null on the last.")
