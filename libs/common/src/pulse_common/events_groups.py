"""What crosses NATS about device groups: ui_iot asks provision_api as the bearer of ``access_token``, which tells.

Who goes by groups reads members with ``device_groups.members_of`` and drops what it keeps of a tenant on
``DeviceGroupsChanged``; what is missed on the way must be read again soon anyway.
"""

from __future__ import annotations

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from pulse_common.events import Call, Event, Wire

MOST_AT_ONCE = 500
Devices = Annotated[list[UUID], Field(max_length=MOST_AT_ONCE)]


class DeviceGroupsChanged(Event):
    """A group was made, renamed or deleted, or devices joined or left it: ``device_ids`` are those."""

    subject = "pulse.events.device.groups_changed"
    what: Literal["created", "renamed", "deleted", "joined", "left"]
    group_id: UUID
    device_ids: Devices = Field(default_factory=list)
    """Empty too for a deletion: every member has left."""


class GroupCall(Call):
    """A change of one group, as the bearer of ``access_token``, a tenant's administrator."""

    access_token: str
    group_id: UUID
    request_id: str | None = None


class CreateGroupRequest(GroupCall):
    """Make a group; repeated with its id and name it changes nothing."""

    rpc = "pulse.rpc.provision_api.create_group"
    name: str


class RenameGroupRequest(GroupCall):
    """Give a group another name; ``version`` None overwrites any."""

    rpc = "pulse.rpc.provision_api.rename_group"
    name: str
    version: int | None


class DeleteGroupRequest(GroupCall):
    """Delete a group; its devices stay."""

    rpc = "pulse.rpc.provision_api.delete_group"


class ChangeMembersRequest(GroupCall):
    """Let devices join and leave; who is in already, or out, stays so."""

    rpc = "pulse.rpc.provision_api.change_group_members"
    join: Devices = Field(default_factory=list)
    leave: Devices = Field(default_factory=list)


class GroupReply(Wire):
    """``joined`` and ``left`` are how many devices did by this very request."""

    group_id: UUID
    version: int
    joined: int = 0
    left: int = 0
