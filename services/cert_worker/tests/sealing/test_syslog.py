"""A SIEM receives each sealed row, counted and in order, over TLS that it proves itself by."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cert_worker.sealing.syslog import Siem
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from services.cert_worker.tests.sealing.conftest import World

pytestmark = pytest.mark.anyio


def make_certificate(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "siem")])
    now = system_clock()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, SHA256())
    )
    (folder / "siem.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "siem.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "siem.pem", folder / "siem.key")
    return context


@asynccontextmanager
async def receiving(folder: Path) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Yield a port and what comes there, taken apart by its octet counts."""
    messages: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):  # the sender is done
            while True:
                count = await reader.readuntil(b" ")
                messages.append(await reader.readexactly(int(count)))
        writer.close()

    server = await asyncio.start_server(handle, "127.0.0.1", 0, ssl=make_certificate(folder))
    async with server:
        yield server.sockets[0].getsockname()[1], messages


def siem(world: World, port: int, *, ca: bool = True) -> Siem:
    ca_file = world.folder / "siem.pem" if ca else None
    return Siem(world.database, host="localhost", port=port, ca_file=ca_file)


async def test_rows_arrive_once_each_in_order_and_whole(world: World) -> None:
    await world.seal("a", "b")
    await world.seal("c")
    async with receiving(world.folder) as (port, messages):
        sender = siem(world, port)

        assert [await sender.tell_once(), await sender.tell_once()] == [2, 0]
        async with asyncio.timeout(5):
            while len(messages) < 3:  # noqa: ASYNC110 -- another task fills it
                await asyncio.sleep(0.01)

    rows = [json.loads(message.partition(b"\xef\xbb\xbf")[2]) for message in messages]
    assert [row["object_id"] for row in rows] == ["a", "b", "c"]
    head = messages[0].decode().split(" ")
    assert head[0] == "<110>1"  # log audit, informational
    assert head[3:6] == ["svc_ui_iot", "-", "device.rename"]
    assert f'tenant="{world.tenant}"' in messages[0].decode()


async def test_a_siem_that_is_away_or_proves_nothing_gets_nothing_and_loses_nothing(
    world: World,
) -> None:
    await world.seal("a")
    async with receiving(world.folder) as (port, messages):
        with pytest.raises(Unavailable):
            await siem(world, port, ca=False).tell_once()
        assert messages == []

    with pytest.raises(Unavailable):
        await siem(world, port).tell_once()
    async with receiving(world.folder) as (port, _):
        assert await siem(world, port).tell_once() == 1
