"""What crosses NATS about device tokens: ui_iot asks provision_api as the bearer of ``access_token``."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pulse_common.events import Wire
from pulse_common.events_profiles import AsAdministrator


class PermitDeviceTokensRequest(AsAdministrator):
    """Turn a device's own switch; off revokes the tokens that it has."""

    rpc = "pulse.rpc.provision_api.permit_device_tokens"
    device_id: UUID
    allowed: bool


class MintDeviceTokenRequest(AsAdministrator):
    """Make a token for the broker; without ``expires_in_seconds`` it lives for 90 days."""

    rpc = "pulse.rpc.provision_api.mint_device_token"
    device_id: UUID
    expires_in_seconds: int | None = None


class MintDeviceTokenReply(Wire):
    """The only time that the token is told, with the names to show beside it."""

    token_id: UUID
    token: str
    client_id: UUID
    username: str
    expires_at: datetime


class RevokeDeviceTokenRequest(AsAdministrator):
    rpc = "pulse.rpc.provision_api.revoke_device_token"
    device_id: UUID
    token_id: UUID


class DeviceTokensChanged(Wire):
    """It is so now, whether this request made it so or an earlier one."""
