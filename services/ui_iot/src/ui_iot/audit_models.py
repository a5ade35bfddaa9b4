"""The shapes of the audit log in the JSON API."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, Field

from ui_iot.api_models import Query

Short = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00]*$")]


class AuditQuery(Query):
    since: AwareDatetime | None = Field(
        default=None, description="30 days before `until` if absent."
    )
    until: AwareDatetime | None = Field(default=None, description="Now if absent.")
    action: Short | None = None
    actor_id: Short | None = None
    object_id: Short | None = None
    outcome: Literal["success", "failure", "denied"] | None = None
    text: Short | None = Field(default=None, description="Words of the reason or the object.")


class AuditPageQuery(AuditQuery):
    after: Short | None = Field(
        default=None, description="The cursor: `next_after` of the page before."
    )


class AuditExportQuery(AuditQuery):
    format: Literal["csv", "jsonl", "ocsf", "sealed"] = Field(
        default="jsonl",
        description="`sealed` is the whole log with its seals, for pulse-audit; it takes no filter.",
    )


class ArchiveQuery(Query):
    tables: str | None = Field(
        default=None,
        max_length=1000,
        description="Names with commas between them; everything if absent.",
    )


class AuditEvent(BaseModel):
    audit_id: UUID
    at: datetime
    service: str
    actor_kind: str
    actor_id: str
    action: str
    object_kind: str
    object_id: str
    outcome: str
    reason: str | None
    address: str | None
    user_agent: str | None
    request_id: str | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    details: dict[str, Any]


class AuditAnswer(BaseModel):
    events: list[AuditEvent] = Field(description="Newest first.")
    next_after: str | None = Field(description="The cursor of the next page; null on the last.")
