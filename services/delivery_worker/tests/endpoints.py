"""Customers' endpoints as tests need them: real sockets that answer, break, or say nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@dataclass(slots=True, kw_only=True)
class Received:
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Endpoint:
    """Answers every request with ``status`` and ``body``; with ``hangs`` it takes the request and says nothing."""

    port: int = 0
    status: int = 200
    body: bytes = b"ok"
    headers: str = ""
    hangs: bool = False
    echoes_challenge: bool = True
    received: list[Received] = field(default_factory=list)
    connections: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.received.append(Received(path=head[0].split()[1], headers=headers, body=body))
        if self.hangs:
            await asyncio.sleep(3600)
        answer = body if self.echoes_challenge and b"webhook.verification" in body else self.body
        writer.write(
            f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(answer)}\r\n{self.headers}\r\n".encode()
            + answer
        )
        await writer.drain()


@asynccontextmanager
async def serving(endpoint: Endpoint | None = None) -> AsyncIterator[Endpoint]:
    made = endpoint or Endpoint()
    server = await asyncio.start_server(made.serve, "127.0.0.1", made.port)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()
