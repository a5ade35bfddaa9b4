"""The bodies that callers send, and the ones that they get."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from pulse_common.events_rollover import MOST_AUTHORITIES, Fingerprint

if TYPE_CHECKING:
    from provision_api.enrolment import Enrolled

MOST_CSR_BYTES = 16 * 1024


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class TenantBody(Body):
    name: str


class DeviceBody(Body):
    """``tenant_id`` is for the admin key alone; a person's tenant comes from their token."""

    name: str
    tenant_id: str | None = None
    profile_id: str | None = None


class TokenBody(Body):
    tenant_id: str | None = None
    expires_in_seconds: int | None = None


class EnrolBody(Body):
    token: str = Field(max_length=200)
    csr: str = Field(max_length=MOST_CSR_BYTES)


class RenewBody(Body):
    csr: str = Field(max_length=MOST_CSR_BYTES)


class TrustBody(Body):
    """SHA-256, in hex, of the certificates of the authorities that a device has."""

    held: list[Fingerprint] = Field(max_length=MOST_AUTHORITIES)


class TrustAnswer(BaseModel):
    """``authorities``: PEM of what the device is to trust, roots last.  Renew within the seconds, if any are given."""

    authorities: str
    renew_in_seconds: int | None


class TenantAnswer(BaseModel):
    id: UUID
    name: str
    status: str


class DeviceAnswer(BaseModel):
    id: UUID
    tenant_id: UUID
    name: str
    status: str
    created_at: datetime


class TokenAnswer(BaseModel):
    """The only time that the token is shown."""

    token: str
    expires_at: datetime


class Broker(BaseModel):
    host: str
    port: int
    ca_certificates: str


class EnrolAnswer(BaseModel):
    tenant_id: UUID
    device_id: UUID
    certificate: str
    chain: str
    serial_number: str
    not_after: datetime
    mqtt: Broker


class FleetBody(Body):
    """Beside what TLS has seen: a hardware id's secret, or the label of the profile that knows the maker's key."""

    hardware_id: str = Field(max_length=64)
    csr: str = Field(max_length=MOST_CSR_BYTES)
    secret: str | None = Field(default=None, max_length=200)
    label: str | None = Field(default=None, max_length=100)


class HeldAnswer(BaseModel):
    """Somebody has to approve it: ask again, with the same key, after so many seconds."""

    status: str = "held"
    retry_after_seconds: int


def enrolled(made: Enrolled, broker: Broker) -> EnrolAnswer:
    return EnrolAnswer(
        tenant_id=made.tenant,
        device_id=made.device_id,
        certificate=made.signed.certificate_pem,
        chain=made.signed.chain_pem,
        serial_number=made.signed.serial_number,
        not_after=made.signed.not_after,
        mqtt=broker,
    )
