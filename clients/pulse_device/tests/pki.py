"""Certificates for tests: a device CA, a web CA, and certificates that go wrong on purpose."""

from __future__ import annotations

import datetime as dt
import ipaddress
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from pulse_device.names import DeviceName

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

TENANT = "11111111-1111-4111-8111-111111111111"
DEVICE = "aaaaaaaa-aaaa-4aaa-8aaa-aaaaaaaaaaaa"
NAME = DeviceName(tenant_id=TENANT, device_id=DEVICE)
DAY = dt.timedelta(days=1)


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def present() -> dt.datetime:
    return dt.datetime.now(dt.UTC)  # noqa: TID251 - TLS compares with the real time


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(each.public_bytes(serialization.Encoding.PEM) for each in certificates)


def subject(common_name: str, organization: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


@dataclass(frozen=True, slots=True)
class Ca:
    """A root that issues directly, or through `issuing()`."""

    label: str
    key: ec.EllipticCurvePrivateKey = field(default_factory=new_key)
    parent: Ca | None = None

    @property
    def certificate(self) -> x509.Certificate:
        signer = self.parent or self
        return (
            x509.CertificateBuilder()
            .subject_name(subject(self.label))
            .issuer_name(subject(signer.label))
            .public_key(self.key.public_key())
            .serial_number(1000 + len(self.label))
            .not_valid_before(present() - DAY)
            .not_valid_after(present() + 365 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    def issuing(self) -> Ca:
        return Ca(label=f"{self.label} issuing", parent=self)

    def device(
        self,
        public_key: CertificatePublicKeyTypes,
        *,
        name: DeviceName = NAME,
        urn: str | None = None,
        since: dt.timedelta = DAY,
        until: dt.timedelta = 90 * DAY,
        usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    ) -> x509.Certificate:
        uri = x509.UniformResourceIdentifier(urn or name.urn)
        return self._leaf(
            x509.CertificateBuilder().subject_name(subject(name.device_id, name.tenant_id)),
            public_key,
            alternative=[uri],
            usage=usage,
            times=(present() - since, present() + until),
        )

    def server(self, key: ec.EllipticCurvePrivateKey, host: str = "localhost") -> x509.Certificate:
        alternative: list[x509.GeneralName] = [x509.DNSName(host)]
        if host == "localhost":
            alternative.append(x509.IPAddress(ipaddress.ip_address("127.0.0.1")))
        return self._leaf(
            x509.CertificateBuilder().subject_name(subject(host)),
            key.public_key(),
            alternative=alternative,
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
            times=(present() - DAY, present() + 90 * DAY),
        )

    def _leaf(
        self,
        builder: x509.CertificateBuilder,
        public_key: CertificatePublicKeyTypes,
        *,
        alternative: list[x509.GeneralName] | list[x509.UniformResourceIdentifier],
        usage: x509.ObjectIdentifier,
        times: tuple[dt.datetime, dt.datetime],
    ) -> x509.Certificate:
        return (
            builder.issuer_name(subject(self.label))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(times[0])
            .not_valid_after(times[1])
            .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .sign(self.key, hashes.SHA256())
        )


def server_context(ca: Ca, directory: Path, host: str = "localhost") -> ssl.SSLContext:
    """Make a server's TLS with a certificate of `ca`."""
    key = new_key()
    certificate_file = directory / f"server-{ca.label}-{host}.pem".replace(" ", "-")
    certificate_file.write_bytes(pem(ca.server(key, host)) + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file)
    return context
