"""The shapes of what the JSON API says about the caller and their sessions."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field


class TenantOfCaller(BaseModel):
    id: UUID
    name: str


class WhoAnswer(BaseModel):
    name: str
    email: str
    tenant: TenantOfCaller | None = Field(description="Null for operators, who belong to none.")
    roles: list[str]


class SessionAnswer(BaseModel):
    id: UUID
    browser: str = Field(description="As far as the user agent tells, such as `Firefox on Linux`.")
    address: str | None = Field(description="Where it was last used from.")
    began_at: datetime
    last_used_at: datetime = Field(description="To the minute.")
    current: bool = Field(description="Whether it is the session that asks.")


class SessionsAnswer(BaseModel):
    sessions: list[SessionAnswer]


class EndedAnswer(BaseModel):
    ended: int = Field(description="How many sessions were ended.")
