"""What tenants see of operators, and decide: the page and the operations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.http import Endpoint, Guarded
from ui_iot import access_models
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from pydantic import BaseModel

    from ui_iot.access_handlers import AccessHandlers


def access_pages(access: AccessHandlers) -> list[Endpoint]:
    return [
        Guarded(method="GET", path="/access", roles=ADMINISTRATORS, handler=access.page),
        Guarded(
            method="POST", path="/access/policy", roles=ADMINISTRATORS, handler=access.policy_form
        ),
        Guarded(
            method="POST",
            path="/access/grants/{grant_id}",
            roles=ADMINISTRATORS,
            handler=access.decide_form,
        ),
    ]


def access_operations(access: AccessHandlers) -> list[Operation]:
    answer: dict[int, type[BaseModel] | None] = {200: access_models.AccessAnswer}
    return [
        Operation(
            name="getAccess",
            summary="Which operators looked at the tenant's data, may, or want to",
            method="GET",
            path="/api/v2/access",
            roles=ADMINISTRATORS,
            handler=access.show,
            answers=answer,
        ),
        Operation(
            name="setAccessPolicy",
            summary="Say what operators need the tenant's approval for",
            method="PUT",
            path="/api/v2/access/policy",
            roles=ADMINISTRATORS,
            handler=access.set_policy,
            body=access_models.PolicyBody,
            answers=answer,
        ),
        Operation(
            name="decideAccess",
            summary="Approve, deny or end an operator's access",
            method="POST",
            path="/api/v2/access/grants/{grant_id}",
            roles=ADMINISTRATORS,
            handler=access.decide,
            body=access_models.DecisionBody,
            answers=answer,
        ),
    ]
