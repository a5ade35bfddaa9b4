"""Who is told of expiries by mail: tenants of their devices together, operators of issuers, lists and servers."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from services.cert_worker.tests.conftest import HeldClock, sign_request
from tests.parts import free_port

from cert_worker import expiry_words, servers
from cert_worker.expiry import Expiry
from cert_worker.expiry_platform import PlatformExpiry
from cert_worker.servers import Server, Shown, UnreachableServer
from pulse_common.notices import DAILY, NoticeRaised

if TYPE_CHECKING:
    from pathlib import Path

    from services.cert_worker.tests.conftest import FreshDatabase, Service

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, tzinfo=UTC)
EDGE = Server("edge", "edge.example", 443)


def notices(service: Service) -> list[NoticeRaised]:
    rows = service.fetch(
        "SELECT payload::text FROM outbox WHERE subject = %s ORDER BY position",
        NoticeRaised.subject,
    )
    return [NoticeRaised.model_validate_json(str(row[0])) for row in rows]


async def test_devices_that_expire_together_are_one_notice(
    service: Service, fresh: FreshDatabase, clock: HeldClock
) -> None:
    tenant = uuid4()
    for _ in range(3):
        await service.signing.sign(sign_request(*fresh.add_device(tenant)))
    clock.move(timedelta(days=90 - 7) - timedelta(minutes=1) + timedelta(hours=1))
    expiry = Expiry(database=service.database, authorities=service.authorities, clock=clock)

    await expiry.warn()
    await expiry.warn()

    (one,) = [found for found in notices(service) if found.notice_key.startswith("devices:")]
    assert one.title == "3 certificates expire within 7 days"
    assert one.topic == "certificates"
    assert one.patience_seconds == DAILY
    assert "UTC" in one.text


def test_many_devices_fit_one_notice() -> None:
    devices = [(service_id(n), "n" * 100, NOW) for n in range(500)]

    found = expiry_words.of_devices(service_id(0), NOW, 1, devices)

    assert "and 480 more" in found.text
    assert found.patience_seconds < DAILY


def test_a_devices_name_cannot_break_the_title() -> None:
    name = "pump\u2028\x07Bcc: x@evil.example"

    found = expiry_words.of_devices(service_id(0), NOW, 14, [(service_id(1), name, NOW)])

    assert found.title.isprintable()


@pytest.mark.parametrize(
    ("life", "left", "expected"),
    [
        (timedelta(hours=24), timedelta(hours=23), None),
        (timedelta(hours=24), timedelta(hours=12), 0),
        (timedelta(days=90), timedelta(days=31), None),
        (timedelta(days=90), timedelta(days=30), 30),
        (timedelta(days=90), timedelta(hours=23), 1),
        (timedelta(days=14), timedelta(days=8), None),
        (timedelta(days=14), timedelta(days=7), 7),
        (timedelta(days=90), timedelta(days=-1), 1),
    ],
)
def test_only_the_second_half_of_a_life_is_worth_a_word(
    life: timedelta, left: timedelta, expected: int | None
) -> None:
    ends = NOW + left

    assert expiry_words.threshold_of(ends - life, ends, NOW) == expected


def names_of(service: Service, kind: str) -> list[str]:
    """Return what the operators' page calls what was warned of."""
    query = "SELECT subject_name FROM expiry_warnings WHERE kind = %s"
    return [str(name) for (name,) in service.fetch(query, kind)]


async def test_a_servers_certificate_is_told_of_once_a_threshold_and_again_when_it_is_another(
    service: Service,
) -> None:
    shown = Shown("ab", NOW - timedelta(days=80), NOW + timedelta(days=10))

    async def look(_: Server) -> Shown:
        return shown

    platform = PlatformExpiry(database=service.database, servers=[EDGE], look=look)
    before = len(notices(service))
    for _ in range(2):
        await platform.warn_of_what_is_served(NOW)
    shown = Shown("cd", shown.not_before, shown.not_after)
    await platform.warn_of_what_is_served(NOW)

    told = [one.title for one in notices(service)[before:] if "server edge" in one.title]
    assert told == ["The certificate of the server edge expires within 14 days"] * 2
    assert set(names_of(service, "server")) == {"edge"}


async def test_lists_that_nobody_renews_are_told_of(service: Service, clock: HeldClock) -> None:
    async def look(_: Server) -> Shown:
        raise UnreachableServer

    platform = PlatformExpiry(database=service.database, servers=[EDGE], look=look)
    await platform.warn_of_what_is_served(clock())
    assert not [one for one in notices(service) if "revocation list" in one.title]
    clock.move(timedelta(hours=13))
    for _ in range(2):
        await platform.warn_of_what_is_served(clock())

    told = [one.title for one in notices(service) if "revocation list" in one.title]
    assert len(told) == 1
    assert told[0].endswith("expires soon, and nobody has renewed it")
    assert [name for name in names_of(service, "list") if name in told[0]]


async def test_a_servers_certificate_is_read_though_nobody_vouches_for_it_and_a_clients_is_wanted(
    tmp_path: Path,
) -> None:
    context, expected = _server(tmp_path)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "server.pem")
    port = free_port()
    server = await asyncio.start_server(lambda _, w: w.close(), "127.0.0.1", port, ssl=context)

    async with server:
        shown = await servers.look(Server("broker", "127.0.0.1", port))

    assert shown.fingerprint == expected
    assert shown.not_after > shown.not_before
    with pytest.raises(UnreachableServer):
        await servers.look(Server("broker", "127.0.0.1", free_port()))


@pytest.mark.parametrize(
    "text", ["edge", "edge=host", "edge=host:0", "edge=ho st:1", "=h:1", "E=h:1"]
)
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="name=host:port"):
        servers.parse_server(text)


def test_a_server_is_read() -> None:
    assert servers.parse_server("edge=[::1]:443") == Server("edge", "::1", 443)


def service_id(n: int) -> UUID:
    return UUID(int=n)


def _server(folder: Path) -> tuple[ssl.SSLContext, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "broker")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=400))
        .not_valid_after(NOW - timedelta(days=1))  # it has expired already
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    file.write_bytes(
        certificate.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context, certificate.fingerprint(hashes.SHA256()).hex()
