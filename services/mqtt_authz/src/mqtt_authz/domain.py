"""Who may connect, as whom, and until when.  Pure rules, no input or output."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mqtt_authz import acl
from mqtt_authz.certificate import CertificateRefused, DeviceCertificate, read_certificate
from mqtt_authz.reasons import Denied, Reason

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from pulse_common.identity import TenantId


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """What a CONNECT brings.  ``certificate`` is the DER that TLS verified; names without it prove nothing."""

    client_id: str
    username: str
    password: str = field(repr=False)
    certificate: bytes | None = field(repr=False)
    address: str = ""
    zone: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the database says of a certificate, its issuer, its device and its tenant.

    Whatever speaks against a device belongs here, so that one query finds it, one memory holds it and one event ends
    it.  A tenant's unpaid bills do not: they change what it may do, not whether its devices may come.
    """

    tenant: UUID
    device: UUID
    issuer: UUID
    certificate_valid: bool
    issuer_active: bool
    device_active: bool
    tenant_active: bool
    awaits_first_use: bool = False
    """A renewal that the device has not connected with yet: the CA wants to hear of it."""
    in_plan: bool = True
    """False of a device beyond the number that the tenant's plan includes: it is not let in, and never cut."""

    @property
    def good(self) -> bool:
        """Whether nothing speaks against the device."""
        return (
            self.certificate_valid
            and self.issuer_active
            and self.device_active
            and self.tenant_active
            and self.in_plan
        )

    def good_for(self, tenant: UUID, device: UUID) -> bool:
        """Whether nothing speaks against the device, and it is the one that the certificate names."""
        return self.good and (self.tenant, self.device) == (tenant, device)


@dataclass(frozen=True, slots=True)
class Whose:
    """The device of a session."""

    tenant: TenantId
    device: UUID
    serial_number: str


@dataclass(frozen=True, slots=True)
class Admitted:
    """The session may do what ``rules`` allow and nothing else, until ``expires_at`` (Unix seconds).

    Of a device, or of the service that has a name.
    """

    device: Whose | None
    service: str
    expires_at: int | None
    by_token: bool = False

    @property
    def rules(self) -> tuple[acl.Rule, ...]:
        if self.device is None:
            return acl.SERVICE_RULES[self.service]
        whose = self.device
        if self.by_token:
            return acl.token_rules(whose.tenant, whose.device)
        return acl.device_rules(whose.tenant, whose.device)

    @property
    def attributes(self) -> tuple[tuple[str, str], ...]:
        """What the broker keeps of the session, and tells us with each question about it."""
        if self.device is None:
            return (("service", self.service),)
        return (
            ("tenant", str(self.device.tenant)),
            ("device", str(self.device.device)),
            # By which a sweep tells a session of a revoked certificate (or token) from one of its successor.
            ("serial", self.device.serial_number),
        )


def admitted_device(tenant: TenantId, device: UUID, serial_number: str, ends: int) -> Admitted:
    return Admitted(Whose(tenant, device, serial_number), "", ends)


def identify(certificate: bytes) -> DeviceCertificate | Denied:
    """Say whose certificate it is."""
    try:
        return read_certificate(certificate)
    except CertificateRefused as error:
        return Denied(Reason.BAD_CERTIFICATE, str(error))


def check_names(connect: Connect, holder: DeviceCertificate, now: datetime) -> Denied | None:
    """Refuse a certificate out of its dates, and names that do not agree with it."""
    if now < holder.not_before:
        return Denied(Reason.CERTIFICATE_NOT_YET_VALID)
    if int(holder.not_after.timestamp()) <= now.timestamp():
        return Denied(Reason.CERTIFICATE_EXPIRED)
    name = str(holder.device)
    if connect.client_id != name:
        return Denied(Reason.CLIENT_ID_MISMATCH, f"client id {connect.client_id[:64]!r}")
    if connect.username not in {"", name}:
        return Denied(Reason.USERNAME_MISMATCH, f"user name {connect.username[:64]!r}")
    return None


def admit_device(holder: DeviceCertificate, standing: Standing | None) -> Admitted | Denied:
    """Let the holder in when the database stands behind its certificate."""
    if standing is None:
        return Denied(Reason.CERTIFICATE_UNKNOWN)
    if (standing.tenant, standing.device) != (holder.tenant, holder.device):
        return Denied(Reason.CERTIFICATE_MISMATCH)
    against = _speaks_against(standing)
    if against is not None:
        return Denied(against)
    ends = int(holder.not_after.timestamp())
    return admitted_device(holder.tenant, holder.device, holder.serial_number, ends)


def _speaks_against(standing: Standing) -> Reason | None:
    if not standing.certificate_valid:
        return Reason.CERTIFICATE_REVOKED
    if not standing.issuer_active:
        return Reason.ISSUER_NOT_TRUSTED
    if not standing.tenant_active:
        return Reason.TENANT_SUSPENDED
    if not standing.device_active:
        return Reason.DEVICE_DISABLED
    if not standing.in_plan:
        return Reason.BEYOND_PLAN
    return None


def admit_service(connect: Connect, password: bytes) -> Admitted | Denied:
    """Let one of our own services in; only for a CONNECT that came without a certificate."""
    right = hmac.compare_digest(connect.password.encode(), password)
    if connect.username not in acl.SERVICE_RULES:
        return Denied(Reason.NO_CERTIFICATE)
    if not right:
        return Denied(Reason.WRONG_PASSWORD)
    if not acl.is_service_client_id(connect.client_id):
        return Denied(Reason.SERVICE_CLIENT_ID)
    return Admitted(None, connect.username, None)
