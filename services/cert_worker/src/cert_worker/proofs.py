"""Prove that the world knows an issuing CA: bundle and lists as read at their addresses, and the broker's handshake."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import httpx2
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from cert_worker import profile
from cert_worker.domain import crl_is_alarming
from cert_worker.rollover import Seen

if TYPE_CHECKING:
    from datetime import datetime

    from cert_worker.authority import Authority
    from cert_worker.domain import ShardId
    from pulse_common.clock import Clock

LARGEST_BUNDLE = 1024 * 1024
LARGEST_LIST = 64 * 1024 * 1024
MOST_AT_ONCE = 8
BROKER_SECONDS = 10.0
PROBE_LIFETIME = timedelta(minutes=10)
CONNACK = 0x20


class Proofs(Protocol):
    async def look(self, old: Authority | None, new: Authority) -> Seen:
        """Say what is wrong in the world with following ``old`` by ``new``; never raises for it."""


@dataclass(frozen=True, slots=True)
class BrokerAddress:
    """Where devices' TLS ends, and who signs the certificate that the broker shows."""

    host: str
    port: int
    ca_file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class WorldProofs:
    """``http`` follows no redirects.  Without a ``broker`` nothing but a common root proves what the broker trusts."""

    http: httpx2.AsyncClient
    base_url: str
    clock: Clock
    broker: BrokerAddress | None = None

    async def look(self, old: Authority | None, new: Authority) -> Seen:
        return Seen(
            bundle=await self._bundle(new),
            lists=await self._lists(new),
            broker=await self._broker(old, new),
        )

    async def _bundle(self, new: Authority) -> str:
        try:
            answer = await self.http.get(f"{self.base_url}/bundle.pem")
            if answer.status_code != httpx2.codes.OK or len(answer.content) > LARGEST_BUNDLE:
                return f"its address answers {answer.status_code}"
            found = x509.load_pem_x509_certificates(answer.content)
        except (httpx2.HTTPError, OSError, ValueError, x509.InvalidVersion) as error:
            return f"it can't be read at its address ({type(error).__name__})"
        if {new.issuing.certificate, new.root.certificate} <= set(found):
            return ""
        return "the one at its address does not hold the new issuer"

    async def _lists(self, new: Authority) -> str:
        room = asyncio.Semaphore(MOST_AT_ONCE)

        async def read(shard: ShardId) -> bool:
            async with room:
                return await self._is_good_list(profile.crl_url(self.base_url, shard), new)

        good = await asyncio.gather(*(read(shard) for shard in new.shards))
        bad = good.count(False)
        return f"{bad} of {len(good)} can't be used as read at their addresses" if bad else ""

    async def _is_good_list(self, url: str, new: Authority) -> bool:
        try:
            answer = await self.http.get(url)
            if answer.status_code != httpx2.codes.OK or len(answer.content) > LARGEST_LIST:
                return False
            found = x509.load_pem_x509_crl(answer.content)
            scope = found.extensions.get_extension_for_class(x509.IssuingDistributionPoint).value
        except (httpx2.HTTPError, OSError, ValueError, x509.ExtensionNotFound):
            return False
        until = found.next_update_utc
        return (
            scope.full_name == [x509.UniformResourceIdentifier(url)]
            and found.is_signature_valid(new.signer.public_key)
            and until is not None
            and not crl_is_alarming(until, self.clock())
        )

    async def _broker(self, old: Authority | None, new: Authority) -> str:
        if self.broker is not None:
            return await self._handshake(self.broker, new)
        if old is not None and old.root.issuer_id == new.root.issuer_id:
            return ""  # the broker goes by the root
        return "another root, and BROKER_PROBE_HOST is not set: see to its bundle, and say so"

    async def _handshake(self, broker: BrokerAddress, new: Authority) -> str:
        """Show the broker a certificate that is nobody's: that its gate refuses it shows that TLS took it."""
        try:
            with tempfile.TemporaryDirectory() as folder:
                context = _stranger(
                    broker, new, Path(folder), base_url=self.base_url, now=self.clock()
                )
            async with asyncio.timeout(BROKER_SECONDS):
                return await _connack(broker, context)
        except (OSError, TimeoutError, ValueError) as error:
            return f"the broker ended the handshake, or is away ({type(error).__name__})"


async def _connack(broker: BrokerAddress, context: ssl.SSLContext) -> str:
    reader, writer = await asyncio.open_connection(broker.host, broker.port, ssl=context)
    try:
        # MQTT 3.1.1 CONNECT, clean session, client id "p".  In TLS 1.3 a refused certificate is told of only now.
        writer.write(b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x0a\x00\x01p")
        first = await reader.read(1)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
    return "" if first == bytes((CONNACK,)) else "the broker ended the handshake"


def _stranger(
    broker: BrokerAddress, new: Authority, folder: Path, *, base_url: str, now: datetime
) -> ssl.SSLContext:
    """Make a certificate for ten minutes that no database knows, so that it opens nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    rules = profile.DeviceProfile(base_url=base_url, lifetime=PROBE_LIFETIME)
    builder = profile.device_certificate(
        profile.DeviceName(uuid4(), uuid4()),
        key.public_key(),
        issuer=new.issuing,
        profile=rules,
        now=now,
    )
    certificate = new.signer.sign_certificate(builder)
    shown, held = folder / "certificate.pem", folder / "key.pem"
    shown.write_bytes(
        certificate.public_bytes(Encoding.PEM) + new.issuing.certificate.public_bytes(Encoding.PEM)
    )
    held.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(cafile=str(broker.ca_file))
    context.load_cert_chain(shown, held)
    return context
