"""``/api/v2/ws``: one browser's live view, for as long as its session lives.

Close codes: 4401 signed out (the page leads to the log-in), 4403 another origin asked, 4400 not understood, 4408 no
subscription came in time, 1013 a part is away (try again), 1011 a fault of ours.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocketDisconnect

from pulse_common.errors import AppError, Unavailable
from pulse_common.ids import parse_id
from ui_iot import people
from ui_iot.live import Watcher

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.websockets import WebSocket

    from pulse_common.identity import Principal, TenantId
    from pulse_common.tenancy import Database
    from ui_iot.callers import Callers
    from ui_iot.live import Hub
    from ui_iot.notices import Notices

log = structlog.get_logger(__name__)

NOT_UNDERSTOOD, SIGNED_OUT, OTHER_ORIGIN, TOO_SLOW = 4400, 4401, 4403, 4408
OUR_FAULT, TRY_AGAIN = 1011, 1013
MOST_DEVICES = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a browser may take to subscribe, and how often its session is looked at."""

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
    callers: Callers
    db: Database
    notices: Notices
    pace: Pace

    async def serve(self, socket: WebSocket) -> None:
        await socket.accept()
        if not self.callers.is_same_origin(socket) or "origin" not in socket.headers:
            await socket.close(OTHER_ORIGIN)
            return
        try:
            principal = await self._principal_of(socket)
        except Unavailable:
            await socket.close(TRY_AGAIN)
            return
        except AppError:
            await socket.close(SIGNED_OUT)
            return
        watcher = Watcher(people.tenant_of(principal))
        await self.hub.join(watcher)
        try:
            await self._converse(socket, watcher, principal.subject)
        finally:
            await self.hub.leave(watcher)

    async def _principal_of(self, socket: WebSocket) -> Principal:
        """Return whose browser this is, if they may watch their tenant now."""
        session = await self.callers.look_at_session(socket)
        tenant = people.tenant_of(session.principal)
        async with self.db.tenant_connection(tenant) as tx:
            await people.require_active_tenant(tx)
        return session.principal

    async def _converse(self, socket: WebSocket, watcher: Watcher, subject: str) -> None:
        """Run both directions and the session's watch; the first to end ends the others."""
        work = [
            asyncio.create_task(self._receive(socket, watcher)),
            asyncio.create_task(_send(socket, watcher)),
            asyncio.create_task(self._until_signed_out(socket, watcher.tenant, subject)),
        ]
        try:
            ended, _ = await asyncio.wait(work, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in work:
                task.cancel()
            await asyncio.gather(*work, return_exceptions=True)
        codes = [code for task in ended if (code := _code(task)) is not None]
        if not codes:
            return  # the browser has gone
        with suppress(WebSocketDisconnect, RuntimeError):
            await socket.close(codes[0])

    async def _receive(self, socket: WebSocket, watcher: Watcher) -> int | None:
        """Take subscriptions; return the code to close with, None when the browser has gone."""
        timeout: float | None = self.pace.subscribe_seconds
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

    async def _until_signed_out(self, socket: WebSocket, tenant: TenantId, subject: str) -> int:
        with self.notices.listen(subject) as heard:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self.pace.check_session_seconds):
                        await heard.wait()
                heard.clear()
                try:
                    found = await self._principal_of(socket)
                except Unavailable:
                    continue  # a part that is away is not a log-out
                except AppError:
                    return SIGNED_OUT
                if (found.tenant, found.subject) != (tenant, subject):
                    return SIGNED_OUT


async def _send(socket: WebSocket, watcher: Watcher) -> None:
    while True:
        message = await watcher.next()
        try:
            await socket.send_text(json.dumps(message))
        except (WebSocketDisconnect, RuntimeError):
            return


def _code(ended: asyncio.Task[int | None] | asyncio.Task[int] | asyncio.Task[None]) -> int | None:
    """Return what to close with; a task that crashed is logged and is our fault."""
    error = ended.exception()
    if error is None:
        return ended.result()
    log.error("live_socket_crashed", exc_info=error)
    return OUR_FAULT
