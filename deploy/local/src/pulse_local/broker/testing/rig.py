"""A broker in a thread, with everything around it that a test needs."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import socket
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import httpx2
from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from pulse_local.broker.app import run
from pulse_local.broker.settings import Settings
from pulse_local.broker.testing.authority import Authority
from pulse_local.broker.testing.peer import WAIT_SECONDS, Peer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pulse_local.broker.testing.fake_authz import FakeAuthz

AUTH_SECRET = "auth-secret-of-the-test-0123456789"  # noqa: S105 - of the test
API_SECRET = "api-secret-of-the-test-0123456789!"  # noqa: S105 - of the test


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


class Rig:
    """A broker in a thread, with everything around it."""

    def __init__(self, folder: Path, clients_authority: Authority, fake: FakeAuthz) -> None:
        self.authority = clients_authority
        self.authz = fake
        self.web = Authority(folder, "web")
        server = self.web.issue(CN="localhost")
        self.settings = Settings(
            tls_port=free_port(),
            token_port=free_port(),
            plain_port=free_port(),
            api_port=free_port(),
            cert_file=server,
            key_file=server,
            client_ca_file=clients_authority.file,
            auth_url=f"{fake.url}/auth",
            acl_url=f"{fake.url}/acl",
            denied_url=f"{fake.url}/denied",
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

    def empty(self) -> None:
        """Make the broker forget the test that was."""
        self.peers.clear()
        self.authz.reset()
        for client in self.api.get("/clients").json()["data"]:
            self.api.delete(f"/clients/{quote(client['clientid'], safe='')}")
        for ban in self.api.get("/banned").json()["data"]:
            self.api.delete(f"/banned/{ban['as']}/{ban['who']}")
        for kept in self.api.get("/mqtt/retainer/messages").json()["data"]:
            self.api.delete(f"/mqtt/retainer/message/{quote(kept['topic'], safe='')}")

    def peer(  # noqa: PLR0913 - every way in which a client may differ from another
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
