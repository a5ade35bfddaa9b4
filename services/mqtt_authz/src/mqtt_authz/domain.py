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


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """What a CONNECT brings.  ``certificate`` is the DER that TLS verified; names without it prove nothing."""

    client_id: str
    username: str
    password: str = field(repr=False)
    certificate: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What the database says of a certificate, its device and its tenant."""

    tenant: UUID
    device: UUID
    certificate_valid: bool
    device_active: bool
    tenant_active: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """The session may do what ``rules`` allow and nothing else, until ``expires_at`` (Unix seconds)."""

    rules: tuple[acl.Rule, ...]
    attributes: tuple[tuple[str, str], ...]
    expires_at: int | None


def identify(connect: Connect, certificate: bytes, now: datetime) -> DeviceCertificate | Denied:
    """Say whose certificate it is, when the names that the client goes by agree with it."""
    try:
        holder = read_certificate(certificate)
    except CertificateRefused as error:
        return Denied(Reason.BAD_CERTIFICATE, str(error))
    if now < holder.not_before:
        return Denied(Reason.CERTIFICATE_NOT_YET_VALID)
    if int(holder.not_after.timestamp()) <= now.timestamp():
        return Denied(Reason.CERTIFICATE_EXPIRED)
    if connect.client_id != str(holder.device):
        return Denied(Reason.CLIENT_ID_MISMATCH)
    if connect.username not in {"", str(holder.device)}:
        return Denied(Reason.USERNAME_MISMATCH)
    return holder


def admit_device(holder: DeviceCertificate, standing: Standing | None) -> Admitted | Denied:
    """Let the holder in when the database stands behind its certificate."""
    if standing is None:
        return Denied(Reason.CERTIFICATE_UNKNOWN)
    if (standing.tenant, standing.device) != (holder.tenant, holder.device):
        return Denied(Reason.CERTIFICATE_MISMATCH)
    if not standing.certificate_valid:
        return Denied(Reason.CERTIFICATE_REVOKED)
    if not standing.tenant_active:
        return Denied(Reason.TENANT_SUSPENDED)
    if not standing.device_active:
        return Denied(Reason.DEVICE_DISABLED)
    return Admitted(
        rules=acl.device_rules(holder.tenant, holder.device),
        attributes=(("tenant", str(holder.tenant)), ("device", str(holder.device))),
        expires_at=int(holder.not_after.timestamp()),
    )


def admit_service(connect: Connect, password: bytes) -> Admitted | Denied:
    """Let one of our own services in; only for a CONNECT that came without a certificate."""
    right = hmac.compare_digest(connect.password.encode(), password)
    rules = acl.SERVICE_RULES.get(connect.username)
    if rules is None:
        return Denied(Reason.NO_CERTIFICATE)
    if not right:
        return Denied(Reason.WRONG_PASSWORD)
    if not acl.is_service_client_id(connect.client_id):
        return Denied(Reason.SERVICE_CLIENT_ID)
    return Admitted(rules=rules, attributes=(("service", connect.username),), expires_at=None)
