"""Which device a TLS client certificate names, as the edge saw it; whether it counts is for the database to say.

The edge asks for a certificate and does not judge it, TLS proves that the client holds its key, and only a certificate
that is byte for byte one of ours counts.  The header means something only when it comes from the edge.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import NameOID

from pulse_common.client_address import from_a_proxy
from pulse_common.errors import Unauthenticated
from pulse_common.identity import TenantId
from pulse_common.ids import parse_uuid

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.client_address import Network

HEADER = "x-pulse-client-certificate"
CLAIM = "claim "
"""How the common name of a claim certificate begins."""


@dataclass(frozen=True, slots=True)
class Presented:
    """What the certificate says of itself.  ``fingerprint`` is the SHA-256 of its DER, in hex."""

    tenant: TenantId
    device_id: UUID
    fingerprint: str


@dataclass(frozen=True, slots=True)
class PresentedClaim:
    """A claim certificate: it names a tenant, and is nothing without its row."""

    tenant: TenantId
    fingerprint: bytes


def presented(request: Request, proxies: tuple[Network, ...]) -> Presented:
    """Read the device's certificate that the edge passed on.

    Raises:
        Unauthenticated: there is none, it is not from the edge, or it names no device.
    """
    der, tenant, name = _read(request, proxies)
    try:
        return Presented(tenant, parse_uuid(name), hashlib.sha256(der).hexdigest())
    except ValueError:
        raise not_ours() from None


def named(certificate: x509.Certificate) -> Presented:
    """Say which device a certificate names that came by another way.

    Raises:
        Unauthenticated: it names none.
    """
    subject = certificate.subject
    try:
        return Presented(
            TenantId(parse_uuid(_the_one(subject, NameOID.ORGANIZATION_NAME))),
            parse_uuid(_the_one(subject, NameOID.COMMON_NAME)),
            certificate.fingerprint(SHA256()).hex(),
        )
    except (ValueError, TypeError):
        raise not_ours() from None


def has_certificate(request: Request) -> bool:
    return bool(request.headers.get(HEADER))


def presented_claim(request: Request, proxies: tuple[Network, ...]) -> PresentedClaim:
    """Read the claim certificate that the edge passed on.

    Raises:
        Unauthenticated: there is none, it is not from the edge, or it is a device's.
    """
    der, tenant, name = _read(request, proxies)
    if not name.startswith(CLAIM):
        raise not_ours()
    return PresentedClaim(tenant, hashlib.sha256(der).digest())


def _read(request: Request, proxies: tuple[Network, ...]) -> tuple[bytes, TenantId, str]:
    text = request.headers.get(HEADER, "")
    if not text or not from_a_proxy(request, proxies):
        raise not_ours()
    try:
        der = base64.b64decode(text, validate=True)
        subject = x509.load_der_x509_certificate(der).subject
        tenant = TenantId(parse_uuid(_the_one(subject, NameOID.ORGANIZATION_NAME)))
        return der, tenant, _the_one(subject, NameOID.COMMON_NAME)
    except (binascii.Error, ValueError, TypeError, x509.InvalidVersion):
        raise not_ours() from None


def not_ours() -> Unauthenticated:
    """One answer for every reason."""
    return Unauthenticated("a client certificate that counts here is required")


def _the_one(subject: x509.Name, oid: x509.ObjectIdentifier) -> str:
    (attribute,) = subject.get_attributes_for_oid(oid)
    if not isinstance(attribute.value, str):
        raise TypeError("not a text")
    return attribute.value
