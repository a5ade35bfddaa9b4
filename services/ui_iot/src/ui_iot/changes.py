"""The JSON API's changes to devices: create and rename, both through provision_api, which owns them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import Response

from pulse_common import events
from pulse_common.http import parse_model, read_body, read_model
from pulse_common.ids import new_id
from ui_iot import api_models
from ui_iot.api import active_tenant, find_device, show
from ui_iot.conditional import check_version, tag_of
from ui_iot.handlers import request_id
from ui_iot.idempotency_key import read_key

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.once import Once


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    db: Database
    bus: Bus
    clock: Clock
    once: Once

    async def create(self, request: Request, principal: Principal) -> Response:
        key = read_key(request)
        raw = await read_body(request)
        body = parse_model(raw, api_models.CreateDeviceBody)

        async def work(device_id: UUID) -> bytes:
            return await self._create(request.state.access_token, device_id, body)

        if key is None:
            async with active_tenant(self.db, principal):
                pass
            return _created(await work(new_id()))
        # Of the values, not of the bytes: a client may write its JSON another way when it tries again.
        fingerprint = f"POST {request.url.path} {body.model_dump_json()}".encode()
        answer = await self.once.run(principal, key, fingerprint, work)
        response = _created(answer.body)
        if answer.is_replay:
            response.headers["idempotency-replayed"] = "true"
        return response

    async def rename(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, api_models.RenameDeviceBody)
        device = await find_device(self.db, request, principal)
        version = check_version(request, device.version)
        call = events.RenameDeviceRequest(
            access_token=request.state.access_token,
            device_id=device.id,
            name=body.name,
            version=version,
            request_id=request_id(),
        )
        reply = await self.bus.call(call, events.RenameDeviceReply)
        renamed = dataclasses.replace(device, name=reply.name, version=reply.version)
        shown = show(renamed, self.clock()).model_dump_json().encode()
        headers = {"etag": tag_of(shown, reply.version)}
        return Response(shown, 200, headers, media_type="application/json")

    async def _create(
        self, access_token: str, device_id: UUID, body: api_models.CreateDeviceBody
    ) -> bytes:
        call = events.CreateDeviceRequest(
            access_token=access_token,
            name=body.name,
            request_id=request_id(),
            device_id=device_id,
            profile_id=body.profile_id,
        )
        made = await self.bus.call(call, events.CreateDeviceReply)
        device = api_models.DeviceAnswer(
            id=made.device_id,
            name=made.name,
            status="never",
            created_at=made.created_at or self.clock(),
            last_seen_at=None,
            latest={},
        )
        token = api_models.EnrolmentToken(token=made.token, expires_at=made.expires_at)
        created = api_models.CreatedAnswer(device=device, enrolment_token=token)
        return created.model_dump_json().encode()


def _created(body: bytes) -> Response:
    made = api_models.CreatedAnswer.model_validate_json(body)
    headers = {"location": f"/api/v2/devices/{made.device.id}"}
    return Response(body, 201, headers, media_type="application/json")
