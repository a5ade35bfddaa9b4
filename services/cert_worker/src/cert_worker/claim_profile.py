"""What a claim certificate says: which enrolment profile its holder may ask in the name of, and nothing that connects.

No broker takes it: its common name is no device's id, its one use is not TLS client authentication, and it
names no revocation list, without which EMQX refuses.  Where it does count, provision_api looks it up byte for byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from cert_worker.profile import CLOCK_TOLERANCE, random_serial_number
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from datetime import datetime
    from uuid import UUID

    from cert_worker.csr import DeviceKey

# id-kp-cmcRA (RFC 6402): it may ask for certificates in others' names, and is no TLS client.  An arc of our own by UUID
# (2.25) would say it more exactly, and Go, which is at the edge, reads no certificate with so long a number in it.
CLAIM_USE = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.28")


@dataclass(frozen=True, slots=True)
class ClaimName:
    tenant_id: UUID
    enrolment_profile_id: UUID

    @property
    def subject(self) -> x509.Name:
        return x509.Name(
            [
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, str(self.tenant_id)),
                x509.NameAttribute(NameOID.COMMON_NAME, f"claim {self.enrolment_profile_id}"),
            ]
        )

    @property
    def urn(self) -> str:
        return f"urn:pulse:tenant:{self.tenant_id}:claim:{self.enrolment_profile_id}"


def claim_certificate(
    name: ClaimName, key: DeviceKey, *, issuer: x509.Certificate, days: int, now: datetime
) -> x509.CertificateBuilder:
    """Build one that lives ``days`` or as long as its issuer.

    Raises:
        Unavailable: the issuer itself is not valid now.
    """
    second = now.replace(microsecond=0)
    if not issuer.not_valid_before_utc <= second < issuer.not_valid_after_utc:
        raise Unavailable("the issuing authority's own certificate is not valid now")
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name.urn)])
    of_issuer = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    return (
        x509.CertificateBuilder()
        .subject_name(name.subject)
        .issuer_name(issuer.subject)
        .public_key(key)
        .serial_number(random_serial_number())
        .not_valid_before(max(second - CLOCK_TOLERANCE, issuer.not_valid_before_utc))
        .not_valid_after(min(second + timedelta(days=days), issuer.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_digital_signature(), critical=True)
        .add_extension(x509.ExtendedKeyUsage([CLAIM_USE]), critical=True)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(of_issuer),
            critical=False,
        )
    )


def _digital_signature() -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=False,
        crl_sign=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
