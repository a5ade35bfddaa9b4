"""The broker's door, tried as the certificate's holder would: TLS with its key, then CONNECT."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from cryptography.x509.oid import NameOID

from pulse_admin.doors import SECONDS, Finding
from pulse_admin.failure import AdminError

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography import x509


def knock(certificate: x509.Certificate, context: ssl.SSLContext, host: str, port: int) -> Finding:
    """Connect by TLS and MQTT as the certificate's holder; whoever is let in takes the device's session over.

    Raises:
        AdminError: nobody is there, or it is not the broker that ``context`` trusts.
    """
    door = f"broker {host}:{port}"
    try:
        raw = socket.create_connection((host, port), SECONDS)
    except OSError as error:
        raise AdminError(f"{door} cannot be reached: {error}") from error
    with raw:
        try:
            with context.wrap_socket(raw, server_hostname=host) as tls:
                tls.sendall(_connect(certificate))
                answer = tls.recv(4)
        except ssl.SSLCertVerificationError as error:
            raise AdminError(f"{door} is not trusted: {error.verify_message}") from error
        except TimeoutError as error:
            raise AdminError(f"{door} does not answer") from error
        except (ssl.SSLError, ConnectionError) as error:
            return Finding(door, dead=True, text=f"refused in TLS: {error}")
    if len(answer) < 4:  # noqa: PLR2004 -- a CONNACK of MQTT 3.1.1
        return Finding(door, dead=True, text="closed without an answer")
    if answer[3] == 0:
        return Finding(door, dead=False, text="CONNECT accepted")
    return Finding(door, dead=True, text=f"CONNECT refused, code {answer[3]}")


def holder(certificate: Path, key: Path, authorities: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=authorities)
    context.load_cert_chain(certificate, key)
    return context


def _connect(certificate: x509.Certificate) -> bytes:
    """Write a CONNECT of MQTT 3.1.1: a clean session, the certificate's own name."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    client = str(names[0].value).encode() if names else b""
    body = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(client).to_bytes(2, "big") + client
    return b"\x10" + bytes([len(body)]) + body
