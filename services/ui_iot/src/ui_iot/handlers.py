"""The pages about devices: read the request, one transaction or one call, render."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, get_args
from urllib.parse import urlencode

import structlog
from starlette.responses import RedirectResponse, Response

from pulse_common import events
from pulse_common.errors import Malformed, NotFound
from pulse_common.ids import parse_id
from ui_iot import cookies, handover_store, history, people, rendering, store, token_store
from ui_iot.fleet.store import list_profiles
from ui_iot.forms import read_form

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database
    from ui_iot.domain import Device

PAGE_SIZE = 50
EVENTS_SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Pages:
    db: Database
    bus: Bus
    clock: Clock
    sealed: cookies.SealedCookies
    public_url: str

    async def devices(self, request: Request, principal: Principal) -> Response:
        after = request.query_params.get("after")
        before = parse_id(after, "after") if after else None
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            found = await store.list_devices(tx, before=before, limit=PAGE_SIZE + 1)
        shown = found[:PAGE_SIZE]
        more = len(found) > PAGE_SIZE
        context: dict[str, object] = {
            "devices": [self._row(device) for device in shown],
            "next_url": f"/devices?{urlencode({'after': str(shown[-1].id)})}" if more else None,
        }
        return rendering.page(request, "devices.html", context)

    async def new_device(self, request: Request, principal: Principal) -> Response:
        return await self._new_device_form(request, principal, name="", error=None)

    async def create_device(self, request: Request, principal: Principal) -> Response:
        """Create through provision_api, as the person; the token is shown on the next page, once."""
        form = await read_form(request)
        name, profile = form.get("name", ""), form.get("profile_id", "")
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
        call = events.CreateDeviceRequest(
            access_token=request.state.access_token,
            name=name,
            request_id=request_id(),
            profile_id=parse_id(profile, "profile_id") if profile else None,
        )
        try:
            made = await self.bus.call(call, events.CreateDeviceReply)
        except Malformed as error:
            return await self._new_device_form(request, principal, name=name, error=error.message)
        return self.show_once(made.device_id, made.token, made.expires_at)

    async def new_token(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        call = events.MintTokenRequest(
            access_token=request.state.access_token,
            device_id=device.id,
            request_id=request_id(),
        )
        minted = await self.bus.call(call, events.MintTokenReply)
        return self.show_once(device.id, minted.token, minted.expires_at)

    async def enrol(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        once = self.sealed.get(request, cookies.ENROLMENT)
        context: dict[str, object] = {
            "device": self._row(device),
            "enrol_command": None,
            "run_command": "pulse-device run",
            "expires_at": None,
        }
        if once is not None and once["device_id"] == str(device.id):
            context["expires_at"] = datetime.fromisoformat(once["expires_at"])
            context["enrol_command"] = (
                f"pulse-device enroll --server {self.public_url} --token {once['token']}"
            )
        response = rendering.page(request, "device_enrol.html", context)
        cookies.clear(response, cookies.ENROLMENT)
        return response

    async def device(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            acts = await store.recent_acts(tx, device.id, EVENTS_SHOWN)
            now = self.clock()
            tokens = await token_store.find_permission(tx, device.id, now)
            rescue = await handover_store.find_rescue(tx, device.id, now)
            given = await handover_store.list_given(tx, now, device.id)
        certificate = device.certificate
        context: dict[str, object] = {
            "device": {**self._row(device), "cut_off": device.cut_off()},
            "certificate": None
            if certificate is None
            else {
                "serial_number": certificate.serial_number,
                "issued_at": certificate.issued_at,
                "expires_at": certificate.expires_at,
                "state": certificate.state(now),
                "revoked_at": certificate.revoked_at,
                "revocation_reason": certificate.revocation_reason,
            },
            "tokens": tokens,
            "rescue": rescue,
            "transfer": given[0] if given else None,
            "events": history.lines(acts, principal),
            "error": None,
        }
        return rendering.page(request, "device.html", context)

    async def revoke(self, request: Request, principal: Principal) -> Response:
        device = await self._device(request, principal)
        reason = parse_reason((await read_form(request)).get("reason", ""))
        await self.bus.call(
            events.RevokeRequest(
                tenant_id=people.tenant_of(principal),
                device_id=device.id,
                reason=reason,
                actor_id=principal.subject,
                request_id=request_id(),
            ),
            events.RevokeReply,
        )
        if "hx-request" in request.headers:
            return await self.device(request, principal)
        return RedirectResponse(f"/devices/{device.id}", 303)

    async def _device(self, request: Request, principal: Principal) -> Device:
        device_id = _device_id(request)
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            device = await store.find_device(tx, device_id)
        if device is None:
            raise NotFound("no such device")
        return device

    async def _new_device_form(
        self, request: Request, principal: Principal, *, name: str, error: str | None
    ) -> Response:
        async with self.db.tenant_connection(people.tenant_of(principal)) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            profiles = await list_profiles(tx)
        status = 200 if error is None else 400
        context: dict[str, object] = {"name": name, "error": error, "profiles": profiles}
        return rendering.page(request, "device_new.html", context, status)

    def show_once(self, device_id: UUID, token: str, expires_at: datetime) -> Response:
        response = RedirectResponse(f"/devices/{device_id}/enrol", 303)
        value = {
            "device_id": str(device_id),
            "token": token,
            "expires_at": expires_at.isoformat(),
        }
        self.sealed.set(response, cookies.ENROLMENT, value, cookies.ENROLMENT_SECONDS)
        return response

    def _row(self, device: Device) -> dict[str, object]:
        return {
            "id": str(device.id),
            "name": device.name,
            "status": device.status(self.clock()),
            "created_at": device.created_at,
            "last_seen_at": device.last_seen_at,
            "latest": device.latest,
        }


def parse_reason(text: str) -> events.RevocationReason:
    """Read an RFC 5280 reason by its name.

    Raises:
        Malformed: for any other text.
    """
    for reason in get_args(events.RevocationReason):
        if reason == text:
            return reason  # type: ignore[no-any-return]  # one of the literal's own values
    raise Malformed("choose one of the reasons")


def _device_id(request: Request) -> UUID:
    try:
        return parse_id(request.path_params["device_id"], "device_id")
    except Malformed:
        # On a page a mistyped address is simply nothing.
        raise NotFound("no such device") from None


def request_id() -> str | None:
    found = structlog.contextvars.get_contextvars().get("request_id")
    return None if found is None else str(found)
