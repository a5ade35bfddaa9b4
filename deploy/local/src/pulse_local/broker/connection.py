"""One client's connection, from its CONNECT packet to its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from pulse_local.broker import encode
from pulse_local.broker.admission import Admission, Guest, Rejected
from pulse_local.broker.clients import Presence
from pulse_local.broker.decode import read_packet
from pulse_local.broker.dialogue import Dialogue
from pulse_local.broker.packets import Connect, Malformed

if TYPE_CHECKING:
    from pulse_local.broker.clients import Clients
    from pulse_local.broker.wire import Wire

log = structlog.get_logger(__name__)
CONNECT_SECONDS = 15.0  # EMQX's idle_timeout: how long to wait for the first packet
KEEP_ALIVE_FACTOR = 1.5  # [MQTT-3.1.2-24]
PACKETS_A_TURN = 32
GONE = (asyncio.IncompleteReadError, OSError)


class Connection:
    def __init__(
        self, *, reader: asyncio.StreamReader, wire: Wire, clients: Clients, admission: Admission
    ) -> None:
        self.reader = reader
        self.wire = wire
        self.clients = clients
        self.admission = admission
        self.last_heard = 0.0
        self.keep_alive_timer: asyncio.TimerHandle | None = None
        self.expiry_timer: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        presence = await self.welcome()
        if presence is None:
            await self.wire.finish()
            return
        dialogue = Dialogue(presence, self.clients)
        try:
            await self.converse(dialogue)
        except GONE:
            self.wire.close("connection lost")
        except Malformed as error:
            self.wire.close(f"malformed packet: {error}")
        finally:
            self.part(presence)
        await dialogue.publish_will()
        await self.wire.finish()

    async def welcome(self) -> Presence | None:
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                connect = await read_packet(self.reader)
        except (*GONE, TimeoutError, Malformed):
            return None
        if not isinstance(connect, Connect):
            return None
        guest = await self.admission.admit(connect, self.wire)
        if isinstance(guest, Rejected):
            log.info("client_refused", reason=guest.reason, code=guest.code)
            self.wire.write(encode.connack(guest.code, present=False))
            return None
        return self.enter(guest, connect)

    def enter(self, guest: Guest, connect: Connect) -> Presence:
        """Take the session over in one step, so that two CONNECTs of one client have an order."""
        opened = self.clients.open_session(guest.client.client_id, clean=connect.clean)
        presence = Presence(
            client=guest.client,
            connect=connect,
            authorization=guest.authorization,
            session=opened.session,
            wire=self.wire,
            connected_at=self.clients.clock(),
        )
        self.clients.enter(presence)
        self.wire.write(encode.connack(0, present=opened.present))
        opened.session.attach(self.wire)
        self.start_timers(presence)
        log.info("client_connected", client_id=guest.client.client_id, zone=guest.client.zone)
        return presence

    def start_timers(self, presence: Presence) -> None:
        loop = asyncio.get_running_loop()
        self.last_heard = loop.time()
        if presence.connect.keep_alive_seconds:
            self.watch(presence.connect.keep_alive_seconds * KEEP_ALIVE_FACTOR)
        expires_at = presence.authorization.admitted.expires_at
        if expires_at is not None:
            wait = expires_at - self.clients.clock()
            self.expiry_timer = loop.call_later(wait, self.wire.close, "admission expired")

    def watch(self, patience_seconds: float) -> None:
        loop = asyncio.get_running_loop()
        left = self.last_heard + patience_seconds - loop.time()
        if left <= 0:
            self.wire.close("keep alive ran out")
            return
        self.keep_alive_timer = loop.call_later(left, self.watch, patience_seconds)

    async def converse(self, dialogue: Dialogue) -> None:
        loop = asyncio.get_running_loop()
        count = 0
        while True:
            packet = await read_packet(self.reader)
            if self.wire.closed:
                return
            self.last_heard = loop.time()
            await dialogue.take(packet)
            await self.wire.drain()
            count += 1
            if count % PACKETS_A_TURN == 0:
                # A full buffer is read without ever waiting: let the others have a turn.
                await asyncio.sleep(0)

    def part(self, presence: Presence) -> None:
        for timer in (self.keep_alive_timer, self.expiry_timer):
            if timer is not None:
                timer.cancel()
        self.wire.close("connection ended")
        self.clients.leave(presence)
        log.info(
            "client_disconnected",
            client_id=presence.client.client_id,
            reason=self.wire.closed_because,
        )
