"""The operations of /api/v2 about device groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ui_iot import group_models as models
from ui_iot.operations import Operation
from ui_iot.people import ADMINISTRATORS, EVERYBODY

if TYPE_CHECKING:
    from ui_iot.group_api import GroupApi

GROUPS = "/api/v2/groups"
GROUP = f"{GROUPS}/{{group_id}}"


def group_operations(api: GroupApi) -> list[Operation]:
    return [*_reading(api), *_changing(api)]


def _reading(api: GroupApi) -> list[Operation]:
    return [
        Operation(
            name="listGroups",
            summary="The tenant's device groups",
            method="GET",
            path=GROUPS,
            roles=EVERYBODY,
            handler=api.groups,
            headers=("If-None-Match",),
            answers={200: models.GroupsAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="getGroup",
            summary="One device group",
            method="GET",
            path=GROUP,
            roles=EVERYBODY,
            handler=api.group,
            headers=("If-None-Match",),
            answers={200: models.GroupAnswer, 304: None},
            answer_headers=("ETag",),
        ),
        Operation(
            name="listGroupDevices",
            summary="The devices of a group, page by page",
            method="GET",
            path=f"{GROUP}/devices",
            roles=EVERYBODY,
            handler=api.devices,
            query=models.GroupDevicesQuery,
            headers=("If-None-Match",),
            answers={200: models.GroupDevicesAnswer, 304: None},
            answer_headers=("ETag",),
        ),
    ]


def _changing(api: GroupApi) -> list[Operation]:
    return [
        Operation(
            name="createGroup",
            summary="Make a device group",
            method="POST",
            path=GROUPS,
            roles=ADMINISTRATORS,
            handler=api.create,
            headers=("Idempotency-Key",),
            body=models.GroupBody,
            answers={201: models.GroupAnswer},
            answer_headers=("Location", "Idempotency-Replayed"),
            refusals=frozenset({409, 422}),
        ),
        Operation(
            name="renameGroup",
            summary="Give a device group another name",
            method="PATCH",
            path=GROUP,
            roles=ADMINISTRATORS,
            handler=api.rename,
            headers=("If-Match",),
            body=models.GroupBody,
            answers={200: models.GroupAnswer},
            answer_headers=("ETag",),
            refusals=frozenset({409, 412, 428}),
        ),
        Operation(
            name="deleteGroup",
            summary="Delete a device group; its devices stay",
            method="DELETE",
            path=GROUP,
            roles=ADMINISTRATORS,
            handler=api.delete,
            answers={204: None},
        ),
        Operation(
            name="changeGroupDevices",
            summary="Let devices join and leave a group, up to 500 each at a time",
            method="POST",
            path=f"{GROUP}/devices",
            roles=ADMINISTRATORS,
            handler=api.change_members,
            body=models.MembersBody,
            answers={200: models.MembersAnswer},
        ),
    ]
