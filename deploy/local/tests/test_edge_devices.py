"""Devices' certificates: passed on from the connection that showed them, to the doors that ask, and by nobody else."""

from __future__ import annotations

import base64
import socket
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from deploy.local.tests.edge_client import exchange, http1

if TYPE_CHECKING:
    from pathlib import Path

    from deploy.local.tests.edge_client import Edge
    from deploy.local.tests.upstreams import Seens

HEADER = "x-pulse-client-certificate"
ASKING = [
    "/.well-known/est/device/simplereenroll",
    "/api/v1/provision/renew",
    "/api/v1/provision/trust",
    "/api/v1/provision/fleet/enroll",
]
OTHERS = ["/", "/api/v1/provision/enroll", "/webhooks/stripe", "/realms/pulse/x"]


@dataclass(frozen=True, kw_only=True)
class Shown:
    file: Path
    der_base64: str


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """A certificate of nobody's, long expired: the edge does not judge."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "device")])
    now = datetime(2020, 1, 1, tzinfo=UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "device.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    der = certificate.public_bytes(serialization.Encoding.DER)
    return Shown(file=file, der_base64=base64.b64encode(der).decode())


def ask_with(edge: Edge, shown: Shown, target: str, *lines: str) -> bytes:
    context = ssl.create_default_context(cafile=edge.ca)
    context.load_cert_chain(shown.file)
    plain = socket.create_connection(("127.0.0.1", edge.port), timeout=10)
    head = [f"GET {target} HTTP/1.1", f"Host: {edge.host}", "Connection: close", *lines]
    with context.wrap_socket(plain, server_hostname="localhost") as connection:
        return exchange(connection, "\r\n".join(head).encode() + b"\r\n\r\n")


@pytest.mark.parametrize("target", ASKING)
def test_certificate_of_the_connection_reaches_the_doors_that_ask(
    edge: Edge, seen: Seens, shown: Shown, target: str
) -> None:
    ask_with(edge, shown, target, f"{HEADER}: forged")

    assert [one.headers[HEADER] for one in seen.requests] == [shown.der_base64]


@pytest.mark.parametrize("target", OTHERS)
def test_no_other_door_hears_of_it(edge: Edge, seen: Seens, shown: Shown, target: str) -> None:
    ask_with(edge, shown, target)

    assert [HEADER in one.headers for one in seen.requests] == [False]


@pytest.mark.parametrize("target", ASKING)
@pytest.mark.parametrize(
    "name", [HEADER, "X-PULSE-CLIENT-CERTIFICATE", "X_Pulse_Client_Certificate"]
)
def test_nobody_can_say_that_a_certificate_was_shown(
    edge: Edge, seen: Seens, shown: Shown, target: str, name: str
) -> None:
    http1(edge, target, lines=[f"{name}: {shown.der_base64}"])

    (one,) = seen.requests
    assert one.headers.get(HEADER, "") == ""
    assert shown.der_base64 not in one.headers.values()


def test_clients_are_told_which_cas_are_known(edge: Edge) -> None:
    """So that a browser offers a person none of their own certificates."""
    context = ssl.create_default_context(cafile=edge.ca)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    told: list[bytes] = []

    def note(_c: object, _d: str, _v: object, _t: object, kind: object, data: bytes) -> None:
        if getattr(kind, "name", "") == "CERTIFICATE_REQUEST":
            told.append(data)

    context._msg_callback = note  # type: ignore[attr-defined]  # the only way to see a handshake
    plain = socket.create_connection(("127.0.0.1", edge.port), timeout=10)
    with context.wrap_socket(plain, server_hostname="localhost"):
        pass

    authority = x509.load_pem_x509_certificate(edge.ca.read_bytes())
    assert [authority.subject.public_bytes() in one for one in told] == [True]


def test_client_that_names_no_host_in_tls_is_served(edge: Edge, seen: Seens) -> None:
    context = ssl.create_default_context(cafile=edge.ca)
    context.check_hostname = False
    plain = socket.create_connection(("127.0.0.1", edge.port), timeout=10)
    with context.wrap_socket(plain) as connection:
        exchange(
            connection, f"GET / HTTP/1.1\r\nHost: {edge.host}\r\nConnection: close\r\n\r\n".encode()
        )

    assert seen.names() == ["ui_iot"]
