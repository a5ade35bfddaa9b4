"""What crosses NATS about handing a device to another tenant: ui_iot asks, provision_api does.

As the bearer of ``access_token``, which provision_api verifies: it must be an administrator of the tenant that offers,
withdraws, accepts or declines.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from pulse_common.events import Call, Event, Wire

SHORTEST_SECONDS = 600
LONGEST_SECONDS = 30 * 24 * 3600
USUAL_SECONDS = 7 * 24 * 3600


class DeviceTransferred(Event):
    """Another tenant has accepted a device: what it had here dies, and its history stays.  Told to the giver alone."""

    subject = "pulse.events.device.transferred"
    device_id: UUID


class OfferDeviceRequest(Call):
    """Offer a device to a tenant; whether there is such a tenant is not told."""

    rpc = "pulse.rpc.provision_api.offer_device"
    access_token: str
    device_id: UUID
    offered_to: UUID
    seconds: int = Field(default=USUAL_SECONDS, ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)
    request_id: str | None = None


class OfferReply(Wire):
    transfer_id: UUID
    expires_at: datetime


class WithdrawOfferRequest(Call):
    """Take an offer back that nobody has accepted yet."""

    rpc = "pulse.rpc.provision_api.withdraw_offer"
    access_token: str
    transfer_id: UUID
    request_id: str | None = None


class AcceptDeviceRequest(Call):
    """Take a device that was offered: it begins anew here, under another id, with a token to enrol by."""

    rpc = "pulse.rpc.provision_api.accept_device"
    access_token: str
    transfer_id: UUID
    request_id: str | None = None


class AcceptReply(Wire):
    device_id: UUID
    name: str
    token: str
    expires_at: datetime


class DeclineDeviceRequest(Call):
    rpc = "pulse.rpc.provision_api.decline_device"
    access_token: str
    transfer_id: UUID
    request_id: str | None = None


class TransferChanged(Wire):
    """It is done."""
