"""What the world shows of the next authority is looked at where others look, and nothing there is taken on trust."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from typing import TYPE_CHECKING

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from services.cert_worker.tests.conftest import BASE_URL

from cert_worker.domain import CRL_LIFETIME
from cert_worker.proofs import BrokerAddress, WorldProofs
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from services.cert_worker.tests.conftest import HeldClock, Service

pytestmark = pytest.mark.anyio


def world(service: Service) -> dict[str, bytes]:
    """What the addresses give, by path."""
    lists = {
        f"/pki/{shard.issuer_id}/{shard.shard}.crl": found.pem
        for shard, found in service.publisher.lists.items()
    }
    return {"/pki/bundle.pem": service.authorities.bundle_pem, **lists}


def proofs(
    given: Mapping[str, bytes], clock: HeldClock, broker: BrokerAddress | None = None
) -> WorldProofs:
    def answer(request: httpx2.Request) -> httpx2.Response:
        content = given.get(request.url.path)
        return httpx2.Response(404) if content is None else httpx2.Response(200, content=content)

    http = httpx2.AsyncClient(transport=httpx2.MockTransport(answer))
    return WorldProofs(http=http, base_url=BASE_URL, clock=clock, broker=broker)


async def test_world_that_is_as_it_should_be_gives_no_reason(
    service: Service, clock: HeldClock
) -> None:
    seen = await proofs(world(service), clock).look(service.authority, service.authority)

    assert (seen.bundle, seen.lists, seen.broker) == ("", "", "")


async def test_bundle_without_the_new_issuer_is_seen(service: Service, clock: HeldClock) -> None:
    root = service.authority.root.certificate.public_bytes(Encoding.PEM)
    for content in (root, b"nonsense"):
        given = world(service) | {"/pki/bundle.pem": content}

        seen = await proofs(given, clock).look(service.authority, service.authority)

        assert seen.bundle
        assert not seen.lists


async def test_missing_stale_and_swapped_lists_are_counted(
    service: Service, clock: HeldClock
) -> None:
    good = world(service)
    first, second, *_ = sorted(path for path in good if path.endswith(".crl"))
    missing = {path: content for path, content in good.items() if path != first}
    swapped = good | {first: good[second]}

    for given, reason in ((missing, "1 of 4"), (swapped, "1 of 4")):
        seen = await proofs(given, clock).look(service.authority, service.authority)
        assert seen.lists.startswith(reason)
    clock.move(CRL_LIFETIME)
    stale = await proofs(good, clock).look(service.authority, service.authority)
    assert stale.lists.startswith("4 of 4")


async def test_another_root_needs_the_broker_s_own_word(service: Service, clock: HeldClock) -> None:
    old, new = service.authority, service.authority
    other = replace(old, root=new.issuing)

    seen = await proofs(world(service), clock).look(other, new)

    assert "see to its bundle" in seen.broker


def server_tls(folder: Path, trusted: bytes) -> tuple[ssl.SSLContext, Path]:
    """Make a broker's TLS that wants client certificates of ``trusted``."""
    key, name = ec.generate_private_key(ec.SECP256R1()), "localhost"
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = system_clock()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.replace(year=now.year - 1, day=1))
        .not_valid_after(now.replace(year=now.year + 1, day=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, SHA256())
    )
    shown, held, ca = folder / "shown.pem", folder / "held.pem", folder / "trusted.pem"
    shown.write_bytes(certificate.public_bytes(Encoding.PEM))
    held.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    ca.write_bytes(trusted)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown, held)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(ca)
    return context, shown


@pytest.mark.parametrize("trusts", [True, False])
async def test_broker_is_asked_by_its_own_handshake(
    service: Service, clock: HeldClock, tmp_path: Path, *, trusts: bool
) -> None:
    clock.now = system_clock()  # TLS goes by the real time
    bundle = service.authorities.bundle_pem
    context, ca_file = server_tls(tmp_path, bundle)
    if not trusts:
        context, ca_file = server_tls(tmp_path, ca_file.read_bytes())

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(15)
        writer.write(b"\x20\x02\x00\x05")  # CONNACK: not authorized
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server:
        address = BrokerAddress("localhost", port, ca_file)
        seen = await proofs(world(service), clock, address).look(None, service.authority)

    assert (seen.broker == "") is trusts
