"""A running broker for each test that asks: real TLS, a real MQTT client, a fake mqtt_authz."""

from __future__ import annotations

import asyncio
import contextlib
import json
import queue
import socket
import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from pulse_local.broker.app import run
from pulse_local.broker.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

AUTH_SECRET = "auth-secret-of-the-test-0123456789"
API_SECRET = "api-secret-of-the-test-0123456789!"
WAIT_SECONDS = 10.0
ORDERS = {
    "CN": NameOID.COMMON_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "C": NameOID.COUNTRY_NAME,
}


class Authority:
    """A certificate authority that signs whatever a test wants."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.file = folder / f"{name}-ca.pem"
        built = self.builder(self.name, self.key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        certificate = built.sign(self.key, hashes.SHA256())
        self.file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def builder(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.fromtimestamp(1_700_000_000, UTC)
        end = now + timedelta(days=days + 36500 if days > 0 else 1)
        return x509.CertificateBuilder(
            subject_name=subject,
            issuer_name=self.name,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=now,
            not_valid_after=end,
        )

    def issue(self, *, days: int = 1, **names: str) -> Path:
        """Write a certificate with its key to one file, and return the file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [x509.NameAttribute(ORDERS[short], value) for short, value in names.items()]
        )
        addresses = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        built = self.builder(subject, key, days).add_extension(addresses, critical=False)
        certificate = built.sign(self.key, hashes.SHA256())
        file = self.folder / f"{certificate.serial_number}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return file


@dataclass(frozen=True)
class Reply:
    body: object = field(default_factory=dict)
    status: int = 200
    content_type: str = "application/json"


@dataclass(frozen=True)
class Call:
    path: str
    headers: dict[str, str]
    body: dict[str, str]


class FakeAuthz:
    """Answers authentication and authorization as the test decides, and remembers the calls."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.authentication: Callable[[dict[str, str]], Reply] = lambda _: allow()
        self.authorization: Callable[[dict[str, str]], Reply] = lambda _: Reply({"result": "deny"})
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                fake.calls.append(Call(self.path, headers, body))
                decide = fake.authentication if self.path == "/auth" else fake.authorization
                self.reply(decide(body))

            def reply(self, reply: Reply) -> None:
                if reply.status == 0:
                    self.close_connection = True
                    return
                raw = isinstance(reply.body, str)
                data = str(reply.body).encode() if raw else json.dumps(reply.body).encode()
                data = b"" if reply.status == 204 else data
                self.send_response(reply.status)
                self.send_header("content-type", reply.content_type)
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *_: Any) -> None:  # noqa: ANN401 - the signature of http.server
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.server.block_on_close = False
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def asked(self, path: str) -> list[dict[str, str]]:
        return [call.body for call in self.calls if call.path == path]


def allow(*rules: dict[str, object], **more: object) -> Reply:
    return Reply({"result": "allow", "acl": list(rules)} | more)


def everything() -> dict[str, object]:
    return {"permission": "allow", "action": "all", "topic": "#"}


class Peer:
    """One MQTT client of the test; what happens to it arrives in queues."""

    def __init__(self, client: Client, port: int) -> None:
        self.client = client
        self.port = port
        self.codes: queue.Queue[int] = queue.Queue()
        self.messages: queue.Queue[MQTTMessage] = queue.Queue()
        self.granted: queue.Queue[list[int]] = queue.Queue()
        self.acknowledged: queue.Queue[int] = queue.Queue()
        self.closed = threading.Event()
        self.session_present = False
        client.on_connect = self.connected
        client.on_disconnect = lambda *_: self.closed.set()
        client.on_message = lambda _client, _data, message: self.messages.put(message)
        client.on_subscribe = lambda _client, _data, _mid, codes, _properties: self.granted.put(
            [code.value for code in codes]
        )
        client.on_publish = lambda _client, _data, mid, *_: self.acknowledged.put(mid)

    def connected(self, _client: Client, _data: object, flags: Any, code: Any, _more: Any) -> None:  # noqa: ANN401 - paho's callback
        self.session_present = flags.session_present
        self.codes.put(code.value)

    def connect(self, keep_alive: int = 60) -> int | None:
        """Return the code of the CONNACK, 0 when let in; None when there was none."""
        with contextlib.suppress(ssl.SSLError, ConnectionError):
            self.client.connect("127.0.0.1", self.port, keep_alive)
            self.client.loop_start()
            return self.first_code()
        return None

    def first_code(self) -> int | None:
        while not self.closed.is_set():
            with contextlib.suppress(queue.Empty):
                return self.codes.get(timeout=0.05)
        return None if self.codes.empty() else self.codes.get_nowait()

    def subscribe(self, *filters: str, qos: int = 1) -> list[int]:
        self.client.subscribe([(wanted, qos) for wanted in filters])
        return self.granted.get(timeout=WAIT_SECONDS)

    def publish(self, topic: str, payload: str = "x", qos: int = 1, *, retain: bool = False) -> int:
        return self.client.publish(topic, payload, qos, retain).mid

    def publish_and_wait(
        self, topic: str, payload: str = "x", qos: int = 1, *, retain: bool = False
    ) -> None:
        self.publish(topic, payload, qos, retain=retain)
        self.acknowledged.get(timeout=WAIT_SECONDS)

    def receive(self, timeout: float = WAIT_SECONDS) -> MQTTMessage:
        return self.messages.get(timeout=timeout)

    def is_closed(self) -> bool:
        return self.closed.wait(WAIT_SECONDS)

    def receive_all(self, quiet_seconds: float = 0.5) -> list[MQTTMessage]:
        """Take what arrives until nothing does for a while."""
        found = []
        while True:
            try:
                found.append(self.receive(quiet_seconds))
            except queue.Empty:
                return found

    def pull_the_plug(self) -> None:
        """End the connection as a killed process would: no DISCONNECT, nothing flushed."""
        connection = self.client.socket()
        assert isinstance(connection, socket.socket)
        with contextlib.suppress(OSError):
            # Not SSLSocket.shutdown, and no close_notify: a dead process sends neither.
            socket.socket.shutdown(connection, socket.SHUT_RDWR)
        assert self.closed.wait(WAIT_SECONDS)
        self.client.loop_stop()

    def leave(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Rig:
    """A broker in a thread, with everything around it."""

    def __init__(self, folder: Path, clients_authority: Authority, fake: FakeAuthz) -> None:
        self.authority = clients_authority
        self.authz = fake
        self.web = Authority(folder, "web")
        server = self.web.issue(CN="localhost")
        self.settings = Settings(
            tls_port=free_port(),
            plain_port=free_port(),
            api_port=free_port(),
            cert_file=server,
            key_file=server,
            client_ca_file=clients_authority.file,
            auth_url=f"{fake.url}/auth",
            acl_url=f"{fake.url}/acl",
            auth_secret=AUTH_SECRET,
            api_key="key",
            api_secret=API_SECRET,
        )
        self.peers: list[Peer] = []
        self.api = httpx2.Client(
            base_url=f"http://127.0.0.1:{self.settings.api_port}/api/v5",
            auth=("key", API_SECRET),
            trust_env=False,
        )

    def peer(
        self,
        client_id: str = "",
        *,
        certificate: Path | None = None,
        plain: bool = True,
        clean: bool = True,
        manual_ack: bool = False,
        username: str | None = None,
        will: tuple[str, str] | None = None,
    ) -> Peer:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            clean_session=clean,
            protocol=MQTTProtocolVersion.MQTTv311,
            reconnect_on_failure=False,
            manual_ack=manual_ack,
        )
        client.max_inflight_messages_set(1000)
        if username is not None:
            client.username_pw_set(username, "password")
        if will is not None:
            client.will_set(will[0], will[1], qos=1)
        if certificate is not None or not plain:
            file = None if certificate is None else str(certificate)
            client.tls_set(str(self.web.file), certfile=file, keyfile=file)
            plain = False
        peer = Peer(client, self.settings.plain_port if plain else self.settings.tls_port)
        self.peers.append(peer)
        return peer


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def running(settings: Settings) -> Iterator[None]:
    loops: queue.Queue[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = queue.Queue()

    async def serve() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        await run(settings, stop, lambda: loops.put((loop, stop)))

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    loop, stop = loops.get(timeout=WAIT_SECONDS)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(WAIT_SECONDS)
        assert not thread.is_alive()


@pytest.fixture
def open_rig(rig: Rig) -> Rig:
    """A rig whose clients may do everything."""
    rig.authz.authentication = lambda _: allow(everything())
    return rig


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    fake = FakeAuthz()
    # A short poll: stopping the server waits for one.
    serving = threading.Thread(target=fake.server.serve_forever, args=(0.01,))
    serving.start()
    made = Rig(tmp_path, Authority(tmp_path, "devices"), fake)
    try:
        with running(made.settings):
            yield made
            for peer in made.peers:
                peer.leave()
    finally:
        made.api.close()
        fake.server.shutdown()
        serving.join()
        fake.server.server_close()
