"""What crosses NATS about device profiles: ui_iot asks provision_api as the bearer of ``access_token``, which tells.

Who keeps something of profiles in memory drops it on ``DeviceProfileChanged``; it says which of the two happened.
"""

from __future__ import annotations

from typing import Any, Literal
from uuid import UUID

from pulse_common.events import Call, Event, Wire


class DeviceProfileChanged(Event):
    """What holds for some devices by their profile has changed.

    Without a ``device_id`` the profile itself was created, changed or deleted: it concerns every device that has it.
    With one, that device alone was given ``profile_id`` (None: it has none any more).
    """

    subject = "pulse.events.device.profile_changed"
    what: Literal["created", "changed", "deleted", "assigned"]
    profile_id: UUID | None
    device_id: UUID | None = None
    tokens_allowed: bool = False
    """Of the profile, now; False without one."""
    has_schema: bool = False


class ProfileWanted(Wire):
    """What a tenant decides about a device profile."""

    name: str
    tokens_allowed: bool = False
    telemetry_schema: dict[str, Any] | None = None
    certificate_profile: str = "device"
    """Which of cert_worker's profiles certifies devices that enrol with this one."""


class AsAdministrator(Call):
    """A change that provision_api makes as the bearer of ``access_token``, a tenant's administrator."""

    access_token: str
    request_id: str | None = None


class CreateProfileRequest(AsAdministrator):
    """Make a profile; repeated with its id and the same wishes it changes nothing."""

    rpc = "pulse.rpc.provision_api.create_profile"
    profile_id: UUID
    wanted: ProfileWanted


class ChangeProfileRequest(AsAdministrator):
    """Replace what was decided; ``version`` None overwrites any."""

    rpc = "pulse.rpc.provision_api.change_profile"
    profile_id: UUID
    wanted: ProfileWanted
    version: int | None


class DeleteProfileRequest(AsAdministrator):
    """Delete a profile that nothing uses."""

    rpc = "pulse.rpc.provision_api.delete_profile"
    profile_id: UUID
    version: int | None


class ProfileReply(Wire):
    profile_id: UUID
    version: int


class AssignProfileRequest(AsAdministrator):
    """Give a device a profile, or none; ``version`` is the device's that the caller has seen."""

    rpc = "pulse.rpc.provision_api.assign_profile"
    device_id: UUID
    profile_id: UUID | None
    version: int | None


class AssignProfileReply(Wire):
    device_id: UUID
    profile_id: UUID | None
    version: int
