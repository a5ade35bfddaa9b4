"""What our certificates say, field by field.  Pure rules; RFC 5280 throughout.

Only builders leave here: whoever holds the key signs them (``ca.py``).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import PublicFormat
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from cert_worker.domain import DEVICE_PROFILE, ShardId, shard_of
from cert_worker.settings import EVERY_KEY_TYPE, KeyType
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cryptography.hazmat.primitives.asymmetric import ec

    from cert_worker.csr import DeviceKey
    from cert_worker.domain import Issuer

SERIAL_BITS = 159
ROOT_LIFETIME = timedelta(days=20 * 365)
ISSUING_LIFETIME = timedelta(days=5 * 365)
RESPONDER_LIFETIME = timedelta(days=2)
RESPONDER_RENEWED = timedelta(days=1)
UNCOMPRESSED_POINT = PublicFormat.UncompressedPoint
REQUEST_LIFETIME = timedelta(days=30)
# Devices' clocks run behind: a certificate that is valid from this very second would be refused by many of them.
CLOCK_TOLERANCE = timedelta(seconds=60)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceProfile:
    """The rules that the device certificates of one profile share; nothing of it comes from a CSR."""

    base_url: str
    lifetime: timedelta
    name: str = DEVICE_PROFILE
    key_types: frozenset[KeyType] = EVERY_KEY_TYPE


@dataclass(frozen=True, slots=True)
class DeviceName:
    tenant_id: UUID
    device_id: UUID

    @property
    def subject(self) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, str(self.tenant_id)),
                x509.NameAttribute(NameOID.COMMON_NAME, str(self.device_id)),
            ]
        )

    @property
    def urn(self) -> str:
        return f"urn:pulse:tenant:{self.tenant_id}:device:{self.device_id}"


def crl_url(base_url: str, shard: ShardId) -> str:
    """Return a distribution point; the list's own critical extension must say the same."""
    return f"{base_url}/{shard.issuer_id}/{shard.shard}.crl"


def certificate_url(base_url: str, issuer_id: UUID) -> str:
    return f"{base_url}/{issuer_id}.crt"


def root_list_url(base_url: str, root_id: UUID) -> str:
    """Return where a root's own list is, in DER as RFC 2585 has it: no broker fetches this one."""
    return f"{base_url}/{root_id}.crl"


def random_serial_number() -> int:
    """Return a positive number of exactly 20 octets (the most that RFC 5280 allows) with 158 random bits."""
    return 1 << (SERIAL_BITS - 1) | secrets.randbits(SERIAL_BITS - 1)


def device_certificate(
    name: DeviceName,
    key: DeviceKey,
    *,
    issuer: Issuer,
    profile: DeviceProfile,
    now: datetime,
) -> x509.CertificateBuilder:
    """Build a client certificate: it signs TLS handshakes as this one device, and does nothing else.

    Raises:
        Unavailable: the issuer itself is not valid now.
    """
    second = now.replace(microsecond=0)
    authority = issuer.certificate
    if not authority.not_valid_before_utc <= second < authority.not_valid_after_utc:
        raise Unavailable("the issuing authority's own certificate is not valid now")
    not_before = max(second - CLOCK_TOLERANCE, authority.not_valid_before_utc)
    not_after = min(second + profile.lifetime, authority.not_valid_after_utc)
    serial_number = random_serial_number()
    shard = ShardId(issuer.issuer_id, shard_of(serial_number, issuer.crl_shards))
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name.urn)])
    client = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return (
        _certificate(name.subject, key, authority.subject, serial_number)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(client, critical=False)
        .add_extension(names, critical=False)
        .add_extension(_key_of(authority), critical=False)
        .add_extension(_crl_at(crl_url(profile.base_url, shard)), critical=False)
        .add_extension(_served_at(profile.base_url, issuer.issuer_id), critical=False)
    )


def root_certificate(
    issuer_id: UUID, key: ec.EllipticCurvePublicKey, *, now: datetime
) -> x509.CertificateBuilder:
    name = _authority_name("root", issuer_id)
    return _authority(name, key, name, path_length=1, now=now, lifetime=ROOT_LIFETIME)


def issuing_certificate(
    issuer_id: UUID,
    key: ec.EllipticCurvePublicKey,
    *,
    root_id: UUID,
    root: x509.Certificate,
    base_url: str,
    now: datetime,
) -> x509.CertificateBuilder:
    name = _authority_name("issuing", issuer_id)
    builder = _authority(name, key, root.subject, path_length=0, now=now, lifetime=ISSUING_LIFETIME)
    return (
        builder.add_extension(_key_of(root), critical=False)
        .add_extension(_issuer_at(certificate_url(base_url, root_id)), critical=False)
        .add_extension(_crl_at(root_list_url(base_url, root_id)), critical=False)
    )


def responder_certificate(
    key: ec.EllipticCurvePublicKey, issuer: Issuer, *, now: datetime
) -> x509.CertificateBuilder:
    """Build the certificate of a key that answers OCSP for its issuer (RFC 6960 section 4.2.2.2), for two days."""
    authority = issuer.certificate
    name = x509.Name(
        [x509.NameAttribute(NameOID.COMMON_NAME, f"Pulse OCSP responder {issuer.issuer_id}")]
    )
    second = now.replace(microsecond=0)
    purpose = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.OCSP_SIGNING])
    return (
        _certificate(name, key, authority.subject, random_serial_number())
        .not_valid_before(max(second - CLOCK_TOLERANCE, authority.not_valid_before_utc))
        .not_valid_after(min(second + RESPONDER_LIFETIME, authority.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(digital_signature=True), critical=True)
        .add_extension(purpose, critical=False)
        .add_extension(_key_of(authority), critical=False)
        # It is too short-lived to be revoked.
        .add_extension(x509.OCSPNoCheck(), critical=False)
    )


def issuing_request(
    issuer_id: UUID, key: ec.EllipticCurvePublicKey, *, now: datetime
) -> x509.CertificateBuilder:
    """Build what an issuing key signs for itself to prove that it is held; nothing trusts it."""
    name = _authority_name("issuing", issuer_id)
    return (
        _certificate(name, key, name, random_serial_number())
        .not_valid_before(now.replace(microsecond=0) - CLOCK_TOLERANCE)
        .not_valid_after(now.replace(microsecond=0) + REQUEST_LIFETIME)
    )


def _authority(
    name: x509.Name,
    key: ec.EllipticCurvePublicKey,
    issuer: x509.Name,
    *,
    path_length: int,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    second = now.replace(microsecond=0)
    usage = _key_usage(key_cert_sign=True, crl_sign=True)
    return (
        _certificate(name, key, issuer, random_serial_number())
        .not_valid_before(second - CLOCK_TOLERANCE)
        .not_valid_after(second + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True)
        .add_extension(usage, critical=True)
    )


def _certificate(
    subject: x509.Name, key: DeviceKey, issuer: x509.Name, serial_number: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(serial_number)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority_name(kind: str, issuer_id: UUID) -> x509.Name:
    # The id keeps the names of successive authorities apart: path building goes by name.
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Pulse"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Pulse {kind} CA {issuer_id}"),
        ]
    )


def _key_usage(
    *, digital_signature: bool = False, key_cert_sign: bool = False, crl_sign: bool = False
) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        key_cert_sign=key_cert_sign,
        crl_sign=crl_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_of(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    identifier = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)


def _crl_at(url: str) -> x509.CRLDistributionPoints:
    place = [x509.UniformResourceIdentifier(url)]
    return x509.CRLDistributionPoints([x509.DistributionPoint(place, None, None, None)])


def _served_at(base_url: str, issuer_id: UUID) -> x509.AuthorityInformationAccess:
    """Say where the issuer's certificate is, and who answers for this one."""
    issuers = list(_issuer_at(certificate_url(base_url, issuer_id)))
    responder = x509.UniformResourceIdentifier(f"{base_url}/ocsp")
    answers = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, responder)
    return x509.AuthorityInformationAccess([*issuers, answers])


def _issuer_at(url: str) -> x509.AuthorityInformationAccess:
    place = x509.UniformResourceIdentifier(url)
    described = x509.AccessDescription(AuthorityInformationAccessOID.CA_ISSUERS, place)
    return x509.AuthorityInformationAccess([described])
