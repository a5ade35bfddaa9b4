"""The shapes of what the JSON API says about the team."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from pulse_common.errors import Malformed
from ui_iot.api_models import Body, Query
from ui_iot.members import State, TeamRole

LAST_PAGE = 999_999
LONGEST_ADDRESS = 254
_ATOM = "[A-Za-z0-9_+'-]+"
_LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
# Narrower than RFC 5321, as the user name is the address: what Keycloak refuses in one is refused here.
ADDRESS = rf"^{_ATOM}(\.{_ATOM})*@({_LABEL}\.)+[A-Za-z]([A-Za-z0-9-]{{0,61}}[A-Za-z0-9])$"


def read_cursor(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= len(str(LAST_PAGE))):
        raise Malformed("after must be the next_after of the page before")
    return int(text)


Cursor = Annotated[
    int,
    BeforeValidator(read_cursor),
    WithJsonSchema({"type": "integer", "minimum": 0, "maximum": LAST_PAGE}),
]
Address = Annotated[
    str,
    Field(pattern=ADDRESS, max_length=LONGEST_ADDRESS, description="Kept in lower case."),
]


class TeamQuery(Query):
    after: Cursor = Field(default=0, description="The cursor: `next_after` of the page before.")


class InviteBody(Body):
    email: Address
    role: TeamRole


class ChangeRoleBody(Body):
    role: TeamRole


class MemberAnswer(BaseModel):
    id: UUID
    email: str
    name: str = Field(description="Empty until they say it.")
    role: TeamRole | None = Field(
        description="Null where an invitation was cut short: invite the address again."
    )
    status: State = Field(description="`invited` until they have chosen a password.")
    added_at: datetime | None = Field(description="Null where Keycloak does not know.")


class TeamAnswer(BaseModel):
    members: list[MemberAnswer] = Field(description="By e-mail address.")
    next_after: int | None = Field(description="The cursor of the next page; null on the last.")
