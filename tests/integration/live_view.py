"""A browser's live view without the browser: the WebSocket at the edge."""

from __future__ import annotations

import json
import ssl
from typing import TYPE_CHECKING, Any, Self

from tests.integration.waiting import eventually
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

if TYPE_CHECKING:
    from pulse_local.stack import Stack


class LiveView:
    """Collects what arrives; `closed_with` is the close code once the server has closed."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self.messages: list[dict[str, Any]] = []
        self.closed_with: int | None = None

    def subscribe(self, devices: list[str] | str) -> None:
        self._connection.send(json.dumps({"type": "subscribe", "devices": devices}))

    def heard(self, text: str) -> bool:
        """Say whether anything that has arrived until now holds `text`."""
        self._collect()
        return any(text in json.dumps(message) for message in self.messages)

    def wait_for(self, text: str) -> None:
        eventually(lambda: self.heard(text), f"{text!r} in the live view")

    def wait_until_closed(self) -> int:
        eventually(self._is_closed, "the live view's end")
        assert self.closed_with is not None
        return self.closed_with

    def _is_closed(self) -> bool:
        self._collect()
        return self.closed_with is not None

    def _collect(self) -> None:
        try:
            while True:
                self.messages.append(json.loads(self._connection.recv(timeout=0.01)))
        except TimeoutError:
            return
        except ConnectionClosed as error:
            self.closed_with = error.rcvd.code if error.rcvd else 1006

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def open_live_view(stack: Stack, *, cookies: str = "", origin: str | None = None) -> LiveView:
    """Connect with the given cookies, as a page of ours unless `origin` says otherwise."""
    tls = ssl.create_default_context(cafile=stack.tls.ca)
    address = f"{stack.url.replace('https', 'wss')}/api/v2/ws"
    headers = {"Origin": origin or stack.url} | ({"Cookie": cookies} if cookies else {})
    return LiveView(connect(address, ssl=tls, additional_headers=headers, proxy=None))
