"""The socket of one connection: writes that never wait, and one way to close."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pulse_local.broker import encode

if TYPE_CHECKING:
    from pulse_local.broker.message import Delivery

CONGESTED_BYTES = 1024 * 1024
FLUSH_SECONDS = 1.0


class Wire:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, listener: str
    ) -> None:
        self.reader = reader
        self.writer = writer
        self.listener = listener
        self.closed_because = ""
        peer = writer.get_extra_info("peername") or ("", 0)
        self.peer_host: str = peer[0]
        self.peer_port: int = peer[1]

    @property
    def closed(self) -> bool:
        return self.closed_because != ""

    @property
    def congested(self) -> bool:
        return self.writer.transport.get_write_buffer_size() > CONGESTED_BYTES

    def certificate(self) -> bytes | None:
        """Return the client certificate's DER, None on a plain listener."""
        tls = self.writer.get_extra_info("ssl_object")
        der: bytes | None = tls.getpeercert(binary_form=True) if tls is not None else None
        return der

    def write(self, data: bytes) -> None:
        # What cannot be written any more stays with the session.
        if not self.closed and not self.writer.transport.is_closing():
            self.writer.write(data)

    def send_publish(self, packet_id: int | None, delivery: Delivery, *, dup: bool) -> None:
        self.write(encode.publish(packet_id, delivery, dup=dup))

    def send_release(self, packet_id: int) -> None:
        self.write(encode.pubrel(packet_id))

    async def drain(self) -> None:
        """Hold back a client that does not read its acknowledgements."""
        await self.writer.drain()

    def close(self, reason: str) -> None:
        """Close at once for the broker; the socket gets a moment to flush what was written."""
        if self.closed:
            return
        self.closed_because = reason
        self.writer.close()
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.writer.transport.abort)
        # Wakes the reading task; without it a peer that stays silent would keep it waiting.
        self.reader.feed_eof()

    async def finish(self) -> None:
        self.close("finished")
        with contextlib.suppress(OSError):
            await self.writer.wait_closed()
