"""The JSON API about devices: read, revoke, command; the same rules as the pages, for scripts and API clients."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common import events
from pulse_common.errors import NotFound
from pulse_common.http import read_model
from pulse_common.ids import new_id, parse_id
from ui_iot import api_models, people, store
from ui_iot.conditional import answer
from ui_iot.handlers import PAGE_SIZE, request_id
from ui_iot.operations import read_query

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from datetime import datetime
    from uuid import UUID

    from pydantic import BaseModel
    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database, TenantTx
    from ui_iot.domain import Device

MOST_POINTS = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    db: Database
    bus: Bus
    clock: Clock

    async def devices(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, api_models.DevicesQuery)
        async with active_tenant(self.db, principal) as tx:
            found = await store.list_devices(tx, before=query.after, limit=PAGE_SIZE + 1)
        shown = found[:PAGE_SIZE]
        now = self.clock()
        page = api_models.DevicesAnswer(
            devices=[show(device, now) for device in shown],
            next_after=shown[-1].id if len(found) > PAGE_SIZE else None,
        )
        return answer(request, page)

    async def device(self, request: Request, principal: Principal) -> Response:
        device = await find_device(self.db, request, principal)
        return answer(request, show(device, self.clock()), device.version)

    async def telemetry(self, request: Request, principal: Principal) -> Response:
        query = read_query(request, api_models.TelemetryQuery)
        since = self.clock() - timedelta(seconds=query.since_seconds)
        device = await find_device(self.db, request, principal)
        async with active_tenant(self.db, principal) as tx:
            points = await store.recent_points(tx, device.id, since, MOST_POINTS)
        shown = [
            api_models.PointAnswer(ts=int(point.ts.timestamp() * 1000), metrics=point.metrics)
            for point in points
        ]
        return answer(request, api_models.TelemetryAnswer(points=shown))

    async def revoke(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, api_models.RevokeBody)
        device = await find_device(self.db, request, principal)
        reply = await self.bus.call(
            events.RevokeRequest(
                tenant_id=people.tenant_of(principal),
                device_id=device.id,
                reason=body.reason,
                actor_id=principal.subject,
                request_id=request_id(),
            ),
            events.RevokeReply,
        )
        done = api_models.RevokedAnswer(revoked=reply.revoked, revoked_at=reply.revoked_at)
        return as_json(done, 200)

    async def command(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, api_models.CommandBody)
        device = await find_device(self.db, request, principal)
        sent = await self.bus.call(
            events.CommandRequest(
                tenant_id=people.tenant_of(principal),
                device_id=device.id,
                command_id=new_id(),
                name=body.name,
                arguments=body.arguments,
                actor_id=principal.subject,
                expires_in_seconds=body.expires_in_seconds,
            ),
            events.CommandReply,
        )
        return as_json(api_models.CommandAnswer(command_id=sent.command_id), 202)


@asynccontextmanager
async def active_tenant(db: Database, principal: Principal) -> AsyncIterator[TenantTx]:
    async with db.tenant_connection(people.tenant_of(principal)) as tx:
        await people.require_active_tenant(tx)
        yield tx


async def find_device(db: Database, request: Request, principal: Principal) -> Device:
    """Find a device of the caller's own tenant; another tenant's is not there at all."""
    device_id: UUID = parse_id(request.path_params["device_id"], "device_id")
    async with active_tenant(db, principal) as tx:
        device = await store.find_device(tx, device_id)
    if device is None:
        raise NotFound("no such device")
    return device


def show(device: Device, now: datetime) -> api_models.DeviceAnswer:
    return api_models.DeviceAnswer(
        id=device.id,
        name=device.name,
        status=device.status(now),
        created_at=device.created_at,
        last_seen_at=device.last_seen_at,
        latest=device.latest,
    )


def as_json(shown: BaseModel, status: int) -> Response:
    return Response(shown.model_dump_json(), status, media_type="application/json")
