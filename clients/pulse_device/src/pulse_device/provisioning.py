"""The one HTTP call of an enrolment, over TLS that is always verified."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx2
from cryptography.hazmat.primitives.serialization import Encoding

from pulse_device.certificates import UntrustedCertificateError, parse_certificates
from pulse_device.errors import LocalFilesError, NetworkError, RefusedError, UsageError
from pulse_device.journal import one_line
from pulse_device.names import DeviceName, Endpoint, parse_host, parse_port, parse_uuid

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from cryptography import x509

LARGEST_ANSWER = 262_144
TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
PATH = "/api/v1/provision/enroll"
FLEET_PATH = "/api/v1/provision/fleet/enroll"
RESCUE_PATH = "/api/v1/provision/rescue"


class HeldError(Exception):
    """Somebody has to approve it; the server says when to ask again."""

    def __init__(self, seconds: int) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What the server says; the certificates are parsed but not yet judged."""

    name: DeviceName
    leaf: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    broker: Endpoint
    broker_ca: tuple[x509.Certificate, ...]


def parse_server(text: str) -> str:
    """Return the server's address without a closing slash; plain http is refused.

    The token is a secret: it goes only to a server that proved its name.
    """
    try:
        url = urlsplit(text)
        host, _ = parse_host(url.hostname), url.port
    except ValueError as error:
        raise UsageError(f"--server {one_line(text)} is not a URL") from error
    if url.scheme != "https":
        raise UsageError("--server must start with https://")
    if not host or url.username or url.query or url.fragment or not text.isprintable():
        raise UsageError("--server takes only a host, a port and a path")
    return text.rstrip("/")


def show_claim(tls: ssl.SSLContext, certificate: Path, key: Path) -> None:
    """Let TLS show the fleet's claim certificate."""
    try:
        tls.load_cert_chain(certificate, key)
    except OSError as error:
        raise LocalFilesError(f"the claim certificate cannot be used: {error}") from error


def server_tls(ca_file: Path | None) -> ssl.SSLContext:
    """Trust the given CA alone, or the system's when none is given."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise LocalFilesError(f"--ca {ca_file} cannot be used: {error}") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def request_certificate(
    *, server: str, token: str, request_pem: str, tls: ssl.SSLContext
) -> Enrolment:
    return _ask(server, PATH, {"token": token, "csr": request_pem}, tls)


def request_by_fleet(
    *, server: str, hardware_id: str, proof: dict[str, str], request_pem: str, tls: ssl.SSLContext
) -> Enrolment:
    """Ask as one of a fleet: with the hardware id's ``secret``, or under the ``label`` that knows the request's key.

    Without a proof it is the claim certificate that ``tls`` shows.

    Raises:
        HeldError: somebody has to approve it first.
    """
    body = {"hardware_id": hardware_id, "csr": request_pem, **proof}
    return _ask(server, FLEET_PATH, body, tls)


def request_rescue(
    *, server: str, certificate_pem: str, request_pem: str, tls: ssl.SSLContext
) -> Enrolment:
    """Ask for the next certificate after one that has expired, for its key."""
    return _ask(server, RESCUE_PATH, {"certificate": certificate_pem, "csr": request_pem}, tls)


def _ask(server: str, path: str, body: dict[str, str], tls: ssl.SSLContext) -> Enrolment:
    # Redirects are not followed, so that the token cannot be sent elsewhere, and an answer in an
    # encoding is not decoded, so that a small one cannot become a huge one.
    headers = {"accept-encoding": "identity", "accept": "application/json"}
    try:
        with (
            httpx2.Client(verify=tls, timeout=TIMEOUT, follow_redirects=False) as client,
            client.stream("POST", server + path, json=body, headers=headers) as response,
        ):
            status, content = response.status_code, _read_bounded(response)
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise NetworkError(_explain(error, server)) from error
    if status == HTTPStatus.ACCEPTED:
        raise HeldError(_pause(content))
    if status not in {HTTPStatus.CREATED, HTTPStatus.OK}:
        raise RefusedError(f"the server refused: {_problem(status, content)}")
    return parse_answer(content)


def parse_answer(content: bytes) -> Enrolment:
    try:
        found = json.loads(content)
        return Enrolment(
            name=DeviceName(
                tenant_id=parse_uuid(found["tenant_id"]), device_id=parse_uuid(found["device_id"])
            ),
            leaf=parse_certificates(found["certificate"].encode())[0],
            chain=parse_certificates(found["chain"].encode()),
            broker=Endpoint(
                host=parse_host(found["mqtt"]["host"]), port=parse_port(found["mqtt"]["port"])
            ),
            broker_ca=parse_certificates(found["mqtt"]["ca_certificates"].encode()),
        )
    except (
        ValueError, KeyError, TypeError, AttributeError, RecursionError, UntrustedCertificateError,
    ) as error:  # fmt: skip
        raise RefusedError("the server's answer is not an enrolment") from error


def pem_of(certificates: tuple[x509.Certificate, ...]) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _pause(content: bytes) -> int:
    try:
        return int(json.loads(content)["retry_after_seconds"])
    except (ValueError, KeyError, TypeError, RecursionError, OverflowError) as error:
        raise RefusedError("the server's answer is not an enrolment") from error


def _read_bounded(response: httpx2.Response) -> bytes:
    content = bytearray()
    for part in response.iter_raw():
        content += part
        if len(content) > LARGEST_ANSWER:
            raise RefusedError("the server's answer is too large")
    return bytes(content)


def _problem(status: int, content: bytes) -> str:
    """Say the detail of a problem document (RFC 9457), or the bare status."""
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        found = None
    detail = None
    if isinstance(found, dict):
        detail = found.get("detail") or found.get("title")
    if not isinstance(detail, str):
        return f"HTTP status {status}"
    return f"{one_line(detail)} (HTTP status {status})"


def _explain(error: Exception, server: str) -> str:
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"the certificate of {server} is not trusted: {one_line(cause.verify_message)}"
    if isinstance(error, httpx2.TimeoutException):
        return f"{server} did not answer in time"
    return f"cannot reach {server}: {one_line(str(error)) or type(error).__name__}"


def _causes(error: BaseException) -> Iterator[BaseException]:
    found: BaseException | None = error
    while found is not None:
        yield found
        found = found.__cause__ or found.__context__
