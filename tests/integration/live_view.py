"""A browser's live view without the browser: the WebSocket at the edge.

Not the library's blocking client: it reads and writes one TLS connection from two threads, which Python 3.11's ssl does
not survive (about one handshake in 500 was never sent).
"""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING, Any, Self

from tests.integration.waiting import eventually
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

if TYPE_CHECKING:
    from pulse_local.stack import Stack


class LiveView:
    """Collects what arrives; `closed_with` is the close code once the server has closed."""

    def __init__(self, runner: asyncio.Runner, connection: ClientConnection) -> None:
        self._runner = runner
        self._connection = connection
        self._left = False
        self.messages: list[dict[str, Any]] = []
        self.closed_with: int | None = None

    def subscribe(self, devices: list[str] | str) -> None:
        message = json.dumps({"type": "subscribe", "devices": devices})
        self._runner.run(self._connection.send(message))

    def heard(self, text: str) -> bool:
        """Say whether anything that has arrived until now, or until the view was left, holds `text`."""
        self._take()
        return any(text in json.dumps(message) for message in self.messages)

    def wait_for(self, text: str) -> None:
        eventually(lambda: self.heard(text), f"{text!r} in the live view")

    def wait_until_closed(self) -> int:
        eventually(self._is_closed, "the live view's end")
        assert self.closed_with is not None
        return self.closed_with

    def _is_closed(self) -> bool:
        self._take()
        return self.closed_with is not None

    def _take(self) -> None:
        if not self._left:
            self._runner.run(self._collect())

    async def _collect(self) -> None:
        try:
            while True:
                async with asyncio.timeout(0.01):
                    self.messages.append(json.loads(await self._connection.recv()))
        except TimeoutError:
            return
        except ConnectionClosed as error:
            self.closed_with = error.rcvd.code if error.rcvd else 1006

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._take()
        self._runner.run(self._connection.close())
        self._left = True
        self._runner.close()


def open_live_view(stack: Stack, *, cookies: str = "", origin: str | None = None) -> LiveView:
    """Connect with the given cookies, as a page of ours unless `origin` says otherwise."""
    tls = ssl.create_default_context(cafile=stack.tls.ca)
    address = f"{stack.url.replace('https', 'wss')}/api/v2/ws"
    headers = {"Origin": origin or stack.url} | ({"Cookie": cookies} if cookies else {})
    runner = asyncio.Runner()
    return LiveView(runner, runner.run(_connect(address, tls, headers)))


async def _connect(address: str, tls: ssl.SSLContext, headers: dict[str, str]) -> ClientConnection:
    return await connect(address, ssl=tls, additional_headers=headers, proxy=None)
