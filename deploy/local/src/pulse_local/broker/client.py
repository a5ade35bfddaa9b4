"""Who a connection claims to be: its names, its certificate and where it came from."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import NameOID

ASCII_LIMIT = 128


@dataclass(frozen=True, kw_only=True)
class Certificate:
    common_name: str
    subject: str
    pem: str  # the base64 of the DER, without the PEM lines


@dataclass(frozen=True, kw_only=True)
class Client:
    client_id: str
    username: str
    password: str
    zone: str
    peer_host: str
    peer_port: int
    certificate: Certificate


NO_CERTIFICATE = Certificate(common_name="", subject="", pem="")


def escape(letter: str) -> str:
    if ord(letter) < ASCII_LIMIT:
        return letter
    return "".join(f"\\{byte:02X}" for byte in letter.encode())


def describe_certificate(der: bytes | None) -> Certificate:
    """Render a certificate as EMQX does: most specific name first, non-ASCII bytes in hex."""
    if not der:
        return NO_CERTIFICATE
    subject = x509.load_der_x509_certificate(der).subject
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Certificate(
        common_name=str(names[0].value) if names else "",
        subject="".join(escape(letter) for letter in subject.rfc4514_string()),
        pem=base64.b64encode(der).decode(),
    )
