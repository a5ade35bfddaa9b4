"""What is said, to tenants and to operators, of access to a tenant's data."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ui_iot.api_models import Body

Scope = Literal["telemetry", "secrets", "metadata"]
Kind = Literal["approval", "break_glass"]
Decision = Literal["approve", "deny", "revoke"]
SHORTEST_SECONDS, LONGEST_SECONDS, LONGEST_BREAK_GLASS = 300, 604_800, 14_400
ADDRESS = r"^[^@\s,;<>\"]{1,64}@[a-zA-Z0-9.-]{1,190}$"


class Shown(BaseModel):
    model_config = ConfigDict(frozen=True)


class Policy(Shown):
    """What the tenant demands, and whom a broken glass is told to (nobody named: its administrators)."""

    telemetry_needs_approval: bool = True
    secrets_need_approval: bool = True
    metadata_needs_approval: bool = False
    notice_emails: list[str] = []


class Grant(Shown):
    id: UUID
    tenant_id: UUID
    kind: Kind
    operator_id: str
    operator_name: str
    second_operator_name: str | None
    scopes: list[Scope]
    reason: str
    ticket: str
    seconds: int
    status: Literal["requested", "active", "ended", "denied", "revoked"]
    requested_at: datetime
    decided_at: datetime | None
    ends_at: datetime | None


class Look(Shown):
    """One access of an operator, as the audit log has it."""

    at: datetime
    operator_id: str
    operator_name: str
    action: str
    purpose: str
    reason: str


class AccessAnswer(Shown):
    policy: Policy
    grants: list[Grant]
    accesses: list[Look]


class GrantsAnswer(Shown):
    grants: list[Grant]


class PolicyBody(Body):
    telemetry_needs_approval: bool
    secrets_need_approval: bool
    metadata_needs_approval: bool
    notice_emails: Annotated[
        list[Annotated[str, Field(pattern=ADDRESS)]], Field(default=[], max_length=10)
    ]


class DecisionBody(Body):
    decision: Decision


class AskBody(Body):
    kind: Kind
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=3)]
    ticket: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 #/_.:-]{0,99}$")]
    seconds: Annotated[int, Field(ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)]
