"""``/api/v2/ws``: one browser's live view, for as long as its session lives.

Close codes: 4401 signed out (the page leads to the log-in), 4403 another origin asked, 4400 not understood, 4408 no
subscription came in time.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from pulse_common.errors import AppError
from pulse_common.ids import parse_id
from ui_iot import people
from ui_iot.live import Watcher

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.websockets import WebSocket

    from ui_iot.callers import Callers
    from ui_iot.live import Hub

log = structlog.get_logger(__name__)

NOT_UNDERSTOOD, SIGNED_OUT, OTHER_ORIGIN, TOO_SLOW = 4400, 4401, 4403, 4408
SUBSCRIBE_SECONDS = 10.0
CHECK_SESSION_SECONDS = 20.0
MOST_DEVICES = 500


class _Subscribe(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["subscribe"]
    devices: Literal["all"] | list[str] = Field(max_length=MOST_DEVICES)

    def wanted(self) -> frozenset[UUID] | None:
        if self.devices == "all":
            return None
        return frozenset(parse_id(device, "device") for device in self.devices)


@dataclass(frozen=True, slots=True)
class LiveSocket:
    hub: Hub
    callers: Callers

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        if not self.callers.is_same_origin(socket) or "origin" not in socket.headers:
            await socket.close(OTHER_ORIGIN)
            return
        try:
            session = await self.callers.session_of(socket)
            watcher = Watcher(people.tenant_of(session.principal))
        except AppError:
            await socket.close(SIGNED_OUT)
            return
        await self.hub.join(watcher)
        try:
            await self._converse(socket, watcher)
        finally:
            await self.hub.leave(watcher)

    async def _converse(self, socket: WebSocket, watcher: Watcher) -> None:
        """Run both directions and the session's watch; the first to end ends the others."""
        work = [
            asyncio.create_task(self._receive(socket, watcher)),
            asyncio.create_task(_send(socket, watcher)),
            asyncio.create_task(self._until_signed_out(socket)),
        ]
        try:
            ended, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        codes = [task.result() for task in ended if task.exception() is None]
        if codes and codes[0] is not None:
            await socket.close(codes[0])

    async def _receive(self, socket: WebSocket, watcher: Watcher) -> int | None:
        """Take subscriptions; return the code to close with, None when the browser has gone."""
        timeout: float | None = SUBSCRIBE_SECONDS
        while True:
            try:
                async with asyncio.timeout(timeout):
                    text = await socket.receive_text()
                watcher.devices = _Subscribe.model_validate_json(text).wanted()
            except WebSocketDisconnect:
                return None
            except TimeoutError:
                return TOO_SLOW
            except (ValidationError, AppError, KeyError):
                return NOT_UNDERSTOOD
            timeout = None

    async def _until_signed_out(self, socket: WebSocket) -> int:
        while True:
            await asyncio.sleep(CHECK_SESSION_SECONDS)
            try:
                await self.callers.session_of(socket)
            except AppError as error:
                if error.status != 503:  # noqa: PLR2004 -- a part that is away is not a log-out
                    return SIGNED_OUT


async def _send(socket: WebSocket, watcher: Watcher) -> None:
    while True:
        message = await watcher.next()
        try:
            await socket.send_text(json.dumps(message))
        except (WebSocketDisconnect, RuntimeError):
            return
