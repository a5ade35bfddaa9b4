"""``/api/v2/ws``: one live view, for as long as the session lives or the access token is good.

A browser subscribes at once (its session and Origin are in the handshake); an API client sends no Origin and first
``{"type": "authenticate", "token": …}``.  Close codes, each with its reason in words:

4400  a message was not understood
4401  signed out, or the token is not good or has expired: log in, or come back with a new token
4403  another origin asked
4408  no token, or no subscription, came in time
4429  this person has as many live views open as one may have, or this address connects too often
1013  a part is away: try again
1011  a fault of ours
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from pulse_common.errors import AppError, Unavailable
from pulse_common.ids import parse_id
from ui_iot.live import Watcher
from ui_iot.watching import (
    NOT_UNDERSTOOD,
    OUR_FAULT,
    SIGNED_OUT,
    TOO_SLOW,
    Closed,
    Seats,
    Visitor,
    Watching,
)

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.websockets import WebSocket

    from ui_iot.live import Hub
    from ui_iot.notices import Notices

log = structlog.get_logger(__name__)

MOST_DEVICES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a client may take to say who it is, and what it wants, and how often its right to it is looked at."""

    subscribe_seconds: float = 10.0
    check_session_seconds: float = 20.0


class _Subscribe(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["subscribe"]
    devices: Literal["all"] | list[str] = Field(max_length=MOST_DEVICES)

    def wanted(self) -> frozenset[UUID] | None:
        if self.devices == "all":
            return None
        return frozenset(parse_id(device, "device") for device in self.devices)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSocket:
    hub: Hub
    watching: Watching
    seats: Seats
    notices: Notices
    pace: Pace

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        try:
            visitor = await self.watching.admit(socket, self.pace.subscribe_seconds)
            with self.seats.seat(visitor):
                await self._watch(socket, visitor)
        except Closed as closed:
            with suppress(WebSocketDisconnect, RuntimeError):
                await socket.close(closed.code, closed.reason[:100])
        except WebSocketDisconnect:
            return  # gone before it said anything

    async def _watch(self, socket: WebSocket, visitor: Visitor) -> None:
        watcher = Watcher(visitor.tenant)
        await self.hub.join(watcher)
        try:
            await self._converse(socket, watcher, visitor)
        finally:
            await self.hub.leave(watcher)

    async def _converse(self, socket: WebSocket, watcher: Watcher, visitor: Visitor) -> None:
        """Run both directions and the watch over the visitor; the first to end ends the others.

        Raises:
            Closed: why we end it; returning means that the other side has gone.
        """
        work = [
            asyncio.create_task(self._receive(socket, watcher)),
            asyncio.create_task(_send(socket, watcher)),
            asyncio.create_task(self._until_unwelcome(visitor)),
        ]
        try:
            ended, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        for task in ended:
            _raise_why(task)

    async def _receive(self, socket: WebSocket, watcher: Watcher) -> None:
        timeout: float | None = self.pace.subscribe_seconds
        while True:
            try:
                async with asyncio.timeout(timeout):
                    text = await socket.receive_text()
                watcher.devices = _Subscribe.model_validate_json(text).wanted()
            except WebSocketDisconnect:
                return
            except TimeoutError:
                raise Closed(TOO_SLOW, "no subscription came in time") from None
            except (ValidationError, AppError, KeyError):
                raise Closed(NOT_UNDERSTOOD, "not understood") from None
            timeout = None

    async def _until_unwelcome(self, visitor: Visitor) -> None:
        with self.notices.listen(visitor.subject) as heard:
            while True:
                pause = min(self.pace.check_session_seconds, visitor.seconds_left())
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await heard.wait()
                heard.clear()
                try:
                    found = await visitor.again()
                except Unavailable:
                    await asyncio.sleep(self.pace.check_session_seconds)
                    continue  # a part that is away is not a log-out
                except AppError as error:
                    raise Closed(SIGNED_OUT, error.message) from None
                if (found.tenant, found.subject) != (visitor.tenant, visitor.subject):
                    raise Closed(SIGNED_OUT, "somebody else has signed in")


async def _send(socket: WebSocket, watcher: Watcher) -> None:
    while True:
        text = await watcher.next()
        try:
            await socket.send_text(text)
        except (WebSocketDisconnect, RuntimeError):
            return


def _raise_why(ended: asyncio.Task[None]) -> None:
    """Raise what ended a task; one that crashed is logged and is our fault."""
    error = ended.exception()
    if error is None or isinstance(error, Closed):
        if error:
            raise error
        return
    log.error("live_socket_crashed", exc_info=error)
    raise Closed(OUR_FAULT, "a fault of ours")
