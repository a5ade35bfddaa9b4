"""Customers' endpoints as tests need them: real sockets that answer, break, or say nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


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
    answers: Callable[[Received], int] | None = None
    """Chooses the status of each message's answer, the challenge's not among them."""
    echoes_challenge: bool = True
    received: list[Received] = field(default_factory=list)
    accepted: list[Received] = field(default_factory=list)
    connections: int = 0
    at_work: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if task := asyncio.current_task():
            self.at_work.add(task)
        try:
            while True:
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # asyncio's own callback before Python 3.12 takes a cancellation for an error
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        got = Received(path=head[0].split()[1], headers=headers, body=body)
        self.received.append(got)
        if self.hangs:
            await asyncio.sleep(3600)
        is_challenge = b"webhook.verification" in body
        answer = body if self.echoes_challenge and is_challenge else self.body
        status = self.answers(got) if self.answers and not is_challenge else self.status
        if status < 300 and not is_challenge:
            self.accepted.append(got)
        writer.write(
            f"HTTP/1.1 {status} X\r\ncontent-length: {len(answer)}\r\n{self.headers}\r\n".encode()
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
        for task in made.at_work:
            task.cancel()
        if made.at_work:
            await asyncio.wait(made.at_work)
            made.at_work.clear()
