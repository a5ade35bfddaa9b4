"""Which certificates our own servers show: read from the TLS handshake, as clients meet them, and not judged.

What is about to expire, or has, or is signed by nobody must be read all the same, so nothing is verified here; nothing
is sent either.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING

from cryptography import x509

if TYPE_CHECKING:
    from datetime import datetime

SECONDS = 5.0
_PLACE = re.compile(
    r"([a-z][a-z0-9_-]{0,31})=([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:]+\]):([1-9][0-9]{0,4})"
)


class UnreachableServer(Exception):  # noqa: N818 -- reads as an outcome
    """It shows no certificate now."""


@dataclass(frozen=True, slots=True)
class Server:
    name: str
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Shown:
    fingerprint: str
    not_before: datetime
    not_after: datetime


def parse_server(text: str) -> Server:
    """Read ``name=host:port``.

    Raises:
        ValueError: it is something else.
    """
    found = _PLACE.fullmatch(text)
    if found is None:
        raise ValueError("must be name=host:port, with commas between them")
    name, host, port = found.groups()
    return Server(name, host.strip("[]"), int(port))


async def look(server: Server) -> Shown:
    """Shake hands and return the certificate.

    Raises:
        UnreachableServer: nobody is there, or it shows none.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    # In TLS 1.3 a server that wants a client's certificate complains after the handshake: we have seen its own by then.
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    try:
        async with asyncio.timeout(SECONDS):
            _, writer = await asyncio.open_connection(
                server.host, server.port, ssl=context, server_hostname=server.host
            )
        try:
            shown: ssl.SSLObject = writer.get_extra_info("ssl_object")
            der = shown.getpeercert(binary_form=True)
        finally:
            writer.transport.abort()
        if der is None:
            raise UnreachableServer(server.name)
        certificate = x509.load_der_x509_certificate(der)
    except (OSError, TimeoutError, ValueError, x509.InvalidVersion) as error:
        raise UnreachableServer(server.name) from error
    return Shown(
        fingerprint=sha256(der).hexdigest(),
        not_before=certificate.not_valid_before_utc,
        not_after=certificate.not_valid_after_utc,
    )
