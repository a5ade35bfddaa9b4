"""What crosses NATS about rescuing a device whose certificate has expired: ui_iot asks, provision_api decides.

As the bearer of ``access_token``, which provision_api verifies: it must be an administrator of the device's tenant.
"""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field

from pulse_common.events import Call, Wire

SHORTEST_SECONDS = 600
LONGEST_SECONDS = 7 * 24 * 3600
USUAL_SECONDS = 24 * 3600


class OpenRescueRequest(Call):
    """Let a device whose newest certificate has expired have the next one, for the same key and a time."""

    rpc = "pulse.rpc.provision_api.open_rescue"
    access_token: str
    device_id: UUID
    seconds: int = Field(default=USUAL_SECONDS, ge=SHORTEST_SECONDS, le=LONGEST_SECONDS)
    request_id: str | None = None


class RescueReply(Wire):
    rescue_id: UUID
    serial_number: str
    """Of the certificate that has expired: the approval is for this one alone."""
    ends_at: datetime


class CloseRescueRequest(Call):
    """Take it back; what was issued meanwhile stays."""

    rpc = "pulse.rpc.provision_api.close_rescue"
    access_token: str
    device_id: UUID
    request_id: str | None = None


class RescueClosed(Wire):
    closed: bool
