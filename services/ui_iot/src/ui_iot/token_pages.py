"""The page about a device's tokens for the broker: allow, make (shown once), list, revoke; provision_api does it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from pulse_common.errors import AppError, Conflict, Forbidden, LimitReached, Malformed, NotFound
from pulse_common.events_device_tokens import (
    DeviceTokensChanged,
    MintDeviceTokenReply,
    MintDeviceTokenRequest,
    PermitDeviceTokensRequest,
    RevokeDeviceTokenRequest,
)
from pulse_common.http import Guarded
from pulse_common.ids import parse_id
from ui_iot import cookies, people, rendering, store, token_store
from ui_iot.forms import read_form
from ui_iot.handlers import request_id
from ui_iot.people import ADMINISTRATORS

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.http import Endpoint
    from pulse_common.identity import Principal
    from ui_iot.domain import Device
    from ui_iot.handlers import Pages

PATH = "/devices/{device_id}/tokens"
LIFETIMES = {"1": "1 day", "30": "30 days", "90": "90 days", "365": "1 year"}
_DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class TokenPages:
    """``pages`` is where the parts are: these pages stand beside the device's own."""

    pages: Pages

    def endpoints(self) -> list[Endpoint]:
        return [
            Guarded(method=method, path=path, roles=ADMINISTRATORS, handler=handler)
            for method, path, handler in (
                ("GET", PATH, self.show),
                ("POST", f"{PATH}/permit", self.permit),
                ("POST", PATH, self.mint),
                ("POST", f"{PATH}/{{token_id}}/revoke", self.revoke),
            )
        ]

    async def show(self, request: Request, principal: Principal) -> Response:
        return await self._page(request, principal)

    async def permit(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        allowed = (await read_form(request)).get("allowed") == "yes"
        call = PermitDeviceTokensRequest(
            access_token=request.state.access_token,
            device_id=device.id,
            allowed=allowed,
            request_id=request_id(),
        )
        try:
            await self.pages.bus.call(call, DeviceTokensChanged)
        except (Forbidden, LimitReached) as error:
            return await self._page(request, principal, error)
        return _back(device)

    async def mint(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        days = (await read_form(request)).get("days", "90")
        if days not in LIFETIMES:
            raise Malformed("choose one of the lifetimes")
        call = MintDeviceTokenRequest(
            access_token=request.state.access_token,
            device_id=device.id,
            expires_in_seconds=int(days) * _DAY_SECONDS,
            request_id=request_id(),
        )
        try:
            minted = await self.pages.bus.call(call, MintDeviceTokenReply)
        except (Conflict, Forbidden, LimitReached) as error:
            return await self._page(request, principal, error)
        response = _back(device)
        once = {"device_id": str(device.id), "token": minted.token, "username": minted.username}
        self.pages.sealed.set(response, cookies.DEVICE_TOKEN, once, cookies.ENROLMENT_SECONDS)
        return response

    async def revoke(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        call = RevokeDeviceTokenRequest(
            access_token=request.state.access_token,
            device_id=device.id,
            token_id=_id(request, "token_id"),
            request_id=request_id(),
        )
        await self.pages.bus.call(call, DeviceTokensChanged)
        return _back(device)

    async def _page(
        self, request: Request, principal: Principal, error: AppError | None = None
    ) -> Response:
        device = await self._device(request, principal)
        now = self.pages.clock()
        async with self.pages.db.tenant_connection(people.tenant_of(principal)) as tx:
            permission = await token_store.find_permission(tx, device.id, now)
            tokens = await token_store.list_tokens(tx, device.id)
        once = self.pages.sealed.get(request, cookies.DEVICE_TOKEN)
        context: dict[str, object] = {
            "device": {"id": str(device.id), "name": device.name},
            "permission": permission,
            "tokens": [{"token": one, "state": one.state(now)} for one in tokens],
            "once": once if once is not None and once["device_id"] == str(device.id) else None,
            "lifetimes": LIFETIMES,
            "error": None if error is None else error.message,
        }
        status = 200 if error is None else error.status
        response = rendering.page(request, "device_tokens.html", context, status)
        cookies.clear(response, cookies.DEVICE_TOKEN)
        return response

    async def _device(self, request: Request, principal: Principal) -> Device:
        device_id = _id(request, "device_id")
        async with self.pages.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            device = await store.find_device(tx, device_id)
        if device is None:
            raise NotFound("no such device")
        return device


def _back(device: Device) -> RedirectResponse:
    return RedirectResponse(f"/devices/{device.id}/tokens", 303)


def _id(request: Request, name: str) -> UUID:
    try:
        return parse_id(request.path_params[name], name)
    except Malformed:
        raise NotFound("no such page") from None
