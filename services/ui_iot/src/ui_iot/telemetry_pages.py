"""The pages about what did not arrive as it was sent: refused, limited, commanded; of a device, and of the tenant."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.errors import Malformed, NotFound
from pulse_common.http import Endpoint, Guarded
from pulse_common.ids import parse_id
from ui_iot import people, rendering, store, telemetry_words
from ui_iot.people import EVERYBODY

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.identity import Principal
    from ui_iot.domain import Device
    from ui_iot.telemetry_api import TelemetryApi
    from ui_iot.telemetry_models import DeadLetterAnswer

SHOWN_BYTES = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryPages:
    api: TelemetryApi

    async def of_device(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        found = await self.api.commands_of(principal, device.id, None)
        commands = [
            {"command": one, "text": telemetry_words.STATES[one.state]} for one in found.commands
        ]
        return await self._page(request, principal, device, {"commands": commands})

    async def of_tenant(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.api.db, principal)
        return await self._page(request, principal, None, {"commands": None})

    async def _page(
        self,
        request: Request,
        principal: Principal,
        device: Device | None,
        more: dict[str, object],
    ) -> Response:
        device_id = device.id if device else None
        letters = await self.api.letters_of(principal, device_id, None)
        limits = await self.api.limits_of(principal, device_id)
        context: dict[str, object] = {
            "device": {"id": str(device.id), "name": device.name} if device else None,
            "letters": [{"letter": one, "shown": _shown(one)} for one in letters.dead_letters],
            "limits": [
                {"limit": one, "text": telemetry_words.BUCKETS[one.bucket]} for one in limits.limits
            ],
            **more,
        }
        return rendering.page(request, "messages.html", context)

    async def _device(self, request: Request, principal: Principal) -> Device:
        try:
            device_id = parse_id(request.path_params["device_id"], "device_id")
        except Malformed:
            raise NotFound("no such device") from None
        async with self.api.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            device = await store.find_device(tx, device_id)
        if device is None:
            raise NotFound("no such device")
        return device


def _shown(letter: DeadLetterAnswer) -> str:
    kept = base64.b64decode(letter.payload_base64)
    return kept[:SHOWN_BYTES].decode(errors="replace")


def endpoints(api: TelemetryApi) -> list[Endpoint]:
    pages = TelemetryPages(api=api)
    return [
        Guarded(
            method="GET",
            path="/devices/{device_id}/messages",
            roles=EVERYBODY,
            handler=pages.of_device,
        ),
        Guarded(method="GET", path="/messages", roles=EVERYBODY, handler=pages.of_tenant),
    ]
