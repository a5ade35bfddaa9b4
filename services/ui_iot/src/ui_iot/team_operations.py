"""The operations of /api/v2 about a tenant's team."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import team_models as models
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from ui_iot.team_api import TeamApi

TEAM = "/api/v2/team"
MEMBER = f"{TEAM}/{{member_id}}"
_FRESH = "needs a recent log-in (401 step_up_required)"


def team_operations(api: TeamApi) -> list[Operation]:
    return [*_reading(api), *_inviting(api), *_changing(api)]


def _reading(api: TeamApi) -> list[Operation]:
    return [
        Operation(
            name="listTeam",
            summary="The tenant's people, page by page",
            method="GET",
            path=TEAM,
            roles=ADMINISTRATORS,
            handler=api.members,
            query=models.TeamQuery,
            headers=("If-None-Match",),
            answers={200: models.TeamAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="getMember",
            summary="One of the tenant's people",
            method="GET",
            path=MEMBER,
            roles=ADMINISTRATORS,
            handler=api.member,
            headers=("If-None-Match",),
            answers={200: models.MemberAnswer, 304: None},
            answer_headers=("ETag",),
        ),
    ]


def _inviting(api: TeamApi) -> list[Operation]:
    return [
        Operation(
            name="inviteMember",
            summary=f"Invite somebody by e-mail; {_FRESH}",
            method="POST",
            path=TEAM,
            roles=ADMINISTRATORS,
            handler=api.invite,
            headers=("Idempotency-Key",),
            body=models.InviteBody,
            answers={201: models.MemberAnswer},
            answer_headers=("Location", "Idempotency-Replayed"),
            refusals=frozenset({409, 422}),
        ),
        Operation(
            name="inviteMemberAgain",
            summary=f"Send an invitation that is open once more; {_FRESH}",
            method="POST",
            path=f"{MEMBER}/invitation",
            roles=ADMINISTRATORS,
            handler=api.invite_again,
            answers={200: models.MemberAnswer},
            refusals=frozenset({409}),
        ),
    ]


def _changing(api: TeamApi) -> list[Operation]:
    return [
        Operation(
            name="changeRole",
            summary=f"Give somebody another role and end their sessions; {_FRESH}",
            method="PATCH",
            path=MEMBER,
            roles=ADMINISTRATORS,
            handler=api.change_role,
            headers=("If-Match",),
            body=models.ChangeRoleBody,
            answers={200: models.MemberAnswer},
            answer_headers=("ETag",),
            refusals=frozenset({409, 412, 428}),
        ),
        Operation(
            name="removeMember",
            summary=f"Delete somebody and end their sessions; {_FRESH}",
            method="DELETE",
            path=MEMBER,
            roles=ADMINISTRATORS,
            handler=api.remove,
            answers={204: None},
            refusals=frozenset({409}),
        ),
    ]
