"""The JSON API about devices; the same rules as the pages, for scripts and API clients."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, Response

from pulse_common import events
from pulse_common.errors import Malformed, NotFound
from pulse_common.http import read_model
from pulse_common.ids import new_id, parse_id
from ui_iot import people, store
from ui_iot.handlers import PAGE_SIZE, parse_reason, request_id

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, TenantTx
    from ui_iot.domain import Device

MOST_POINTS = 2000
LONGEST_SPAN_SECONDS = 24 * 3600
MOST_SPAN_DIGITS = len(str(LONGEST_SPAN_SECONDS))

# 1e999 is JSON, and infinity to Python.
Argument = Annotated[float, Field(allow_inf_nan=False)] | bool | str


class RevokeBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    reason: str


class CommandBody(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")
    arguments: dict[str, Argument] = Field(default_factory=dict, max_length=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    db: Database
    bus: Bus
    clock: Clock

    async def devices(self, request: Request, principal: Principal) -> Response:
        after = request.query_params.get("after")
        before = parse_id(after, "after") if after else None
        async with self._tenant(principal) as tx:
            found = await store.list_devices(tx, before=before, limit=PAGE_SIZE + 1)
        shown = found[:PAGE_SIZE]
        next_after = str(shown[-1].id) if len(found) > PAGE_SIZE else None
        return _json({"devices": [self._device_json(d) for d in shown], "next_after": next_after})

    async def device(self, request: Request, principal: Principal) -> Response:
        return _json(self._device_json(await self._find(request, principal)))

    async def telemetry(self, request: Request, principal: Principal) -> Response:
        seconds = read_span(request.query_params.get("since_seconds", "300"))
        since = self.clock() - timedelta(seconds=seconds)
        device = await self._find(request, principal)
        async with self._tenant(principal) as tx:
            points = await store.recent_points(tx, device.id, since, MOST_POINTS)
        return _json(
            {"points": [{"ts": int(p.ts.timestamp() * 1000), "metrics": p.metrics} for p in points]}
        )

    async def revoke(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, RevokeBody)
        device = await self._find(request, principal)
        reply = await self.bus.call(
            events.RevokeRequest(
                tenant_id=people.tenant_of(principal),
                device_id=device.id,
                reason=parse_reason(body.reason),
                actor_id=principal.subject,
                request_id=request_id(),
            ),
            events.RevokeReply,
        )
        return _json({"revoked": reply.revoked, "revoked_at": reply.revoked_at.isoformat()})

    async def command(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, CommandBody)
        device = await self._find(request, principal)
        sent = await self.bus.call(
            events.CommandRequest(
                tenant_id=people.tenant_of(principal),
                device_id=device.id,
                command_id=new_id(),
                name=body.name,
                arguments=body.arguments,
                actor_id=principal.subject,
            ),
            events.CommandReply,
        )
        return _json({"command_id": str(sent.command_id)}, 202)

    @asynccontextmanager
    async def _tenant(self, principal: Principal) -> AsyncIterator[TenantTx]:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
            yield tx

    async def _find(self, request: Request, principal: Principal) -> Device:
        """Find a device of the caller's own tenant; another tenant's is not there at all."""
        device_id: UUID = parse_id(request.path_params["device_id"], "device_id")
        async with self._tenant(principal) as tx:
            device = await store.find_device(tx, device_id)
        if device is None:
            raise NotFound("no such device")
        return device

    def _device_json(self, device: Device) -> dict[str, object]:
        return {
            "id": str(device.id),
            "name": device.name,
            "status": device.status(self.clock()),
            "created_at": device.created_at.isoformat(),
            "last_seen_at": device.last_seen_at.isoformat() if device.last_seen_at else None,
            "latest": device.latest,
        }


def read_span(text: str) -> int:
    readable = text.isascii() and text.isdecimal() and len(text) <= MOST_SPAN_DIGITS
    if not readable or not 1 <= int(text) <= LONGEST_SPAN_SECONDS:
        raise Malformed(f"since_seconds must be a whole number from 1 to {LONGEST_SPAN_SECONDS}")
    return int(text)


def _json(value: object, status: int = 200) -> JSONResponse:
    return JSONResponse(value, status)
