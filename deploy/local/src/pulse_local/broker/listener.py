"""amqtt's broker with our own inside: it keeps the listeners and the life cycle."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

import structlog

# amqtt carries no type marker (py.typed), so mypy sees nothing of it.
from amqtt.broker import Broker  # type: ignore[import-untyped]
from amqtt.contexts import BrokerConfig, ListenerConfig  # type: ignore[import-untyped]

from pulse_local.broker.connection import Connection
from pulse_local.broker.wire import Wire

if TYPE_CHECKING:
    from pulse_local.broker.admission import Admission
    from pulse_local.broker.clients import Clients
    from pulse_local.broker.settings import Settings

log = structlog.get_logger(__name__)
EXPIRY_CHECK_SECONDS = 5.0
CLOSING_SECONDS = 3.0


def listeners(settings: Settings) -> dict[str, ListenerConfig]:
    return {
        # amqtt wants a listener called default, from which the others inherit; it stays unbound.
        "default": ListenerConfig(bind=None),
        "plain": ListenerConfig(bind=f"127.0.0.1:{settings.plain_port}"),
        "mqtts": ListenerConfig(
            bind=f"127.0.0.1:{settings.tls_port}",
            ssl=True,
            certfile=settings.cert_file,
            keyfile=settings.key_file,
            cafile=settings.client_ca_file,
        ),
        # Without an authority to judge by, no client certificate is asked for.
        "tokens": ListenerConfig(
            bind=f"127.0.0.1:{settings.token_port}",
            ssl=True,
            certfile=settings.cert_file,
            keyfile=settings.key_file,
        ),
    }


class DevelopmentBroker(Broker):  # type: ignore[misc] # amqtt is untyped
    def __init__(self, *, settings: Settings, clients: Clients, admission: Admission) -> None:
        super().__init__(BrokerConfig(listeners=listeners(settings), plugins={}))
        self.clients = clients
        self.admission = admission
        self.conversations: set[asyncio.Task[None]] = set()

    @staticmethod
    def _create_ssl_context(listener: ListenerConfig) -> ssl.SSLContext:
        """Demand a client certificate where there is an authority: amqtt's own context only asks for one."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if listener.cafile is not None:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(cafile=listener.cafile)
        context.load_cert_chain(listener.certfile, listener.keyfile)
        # A resumed session skips the checks of a full handshake (EMQX: reuse_sessions = false).
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        return context

    async def stream_connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener_name: str
    ) -> None:
        task = asyncio.current_task()
        assert task is not None, "asyncio runs this as a task"
        self.conversations.add(task)
        connection = Connection(
            reader=reader,
            wire=Wire(reader, writer, listener_name),
            clients=self.clients,
            admission=self.admission,
        )
        try:
            await connection.serve()
        except Exception:
            log.exception("connection_failed")
            writer.transport.abort()
        finally:
            self.conversations.discard(task)

    async def _session_monitor(self) -> None:
        while True:
            self.clients.expire()
            await asyncio.sleep(EXPIRY_CHECK_SECONDS)

    async def shutdown(self) -> None:
        for server in self._servers.values():
            server.instance.close()
        for presence in list(self.clients.presences.values()):
            self.clients.end(presence, "the broker stops")
        if self.conversations:
            _, slow = await asyncio.wait(self.conversations, timeout=CLOSING_SECONDS)
            for task in slow:
                task.cancel()
            await asyncio.gather(*slow, return_exceptions=True)
        await super().shutdown()
