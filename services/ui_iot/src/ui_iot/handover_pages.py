"""The pages about what ends and moves: what expires soon, offers of devices, and a device's rescue and transfer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse, Response

from pulse_common import audit
from pulse_common.errors import Malformed, NotFound
from pulse_common.http import Guarded
from pulse_common.ids import parse_id
from ui_iot import handover_store, mail_store, people, rendering, store
from ui_iot.forms import read_form
from ui_iot.people import ADMINISTRATORS, EVERYBODY

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request

    from pulse_common.http import Endpoint
    from pulse_common.identity import Principal
    from ui_iot.handlers import Pages
    from ui_iot.handover_api import HandoverApi

DEVICE = "/devices/{device_id}"
TRANSFER = "/transfers/{transfer_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverPages:
    """``pages`` shows an enrolment token once, as for a device that was just made."""

    api: HandoverApi
    pages: Pages

    def endpoints(self) -> list[Endpoint]:
        doors = (
            ("POST", f"{DEVICE}/rescue", self.open_rescue),
            ("POST", f"{DEVICE}/rescue/close", self.close_rescue),
            ("POST", f"{DEVICE}/transfer", self.offer),
            ("POST", "/expiring/mails", self.mail_again),
            ("GET", "/transfers", self.transfers),
            ("POST", f"{TRANSFER}/withdraw", self.withdraw),
            ("POST", f"{TRANSFER}/accept", self.accept),
            ("POST", f"{TRANSFER}/decline", self.decline),
        )
        return [
            Guarded(method="GET", path="/expiring", roles=EVERYBODY, handler=self.expiring),
            *(
                Guarded(method=method, path=path, roles=ADMINISTRATORS, handler=handler)
                for method, path, handler in doors
            ),
        ]

    async def expiring(self, request: Request, principal: Principal) -> Response:
        request.state.viewer = await people.find_viewer(self.api.db, principal)
        now = self.api.clock()
        shown = [
            {
                "device_id": str(one.device_id),
                "device_name": one.device_name,
                "serial_number": one.serial_number,
                "expires_at": one.expires_at,
                "expired": one.expires_at <= now,
                "days": max(0, (one.expires_at - now).days),
            }
            for one in await self.api.list_expiring(principal)
        ]
        async with self.api.db.tenant_connection(people.tenant_of(principal)) as tx:
            refusals = await mail_store.list_refusals(tx)
        context: dict[str, object] = {"devices": shown, "refusals": refusals}
        return rendering.page(request, "expiring.html", context)

    async def mail_again(self, request: Request, principal: Principal) -> Response:
        """Undo that somebody wanted no more mails about something: at their wish, one hopes, so it is recorded."""
        form = await read_form(request)
        address, topic = form.get("address", ""), form.get("topic", "")
        async with self.api.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
            if await mail_store.end_refusal(tx, address, topic):
                act = audit.Act(
                    actor_kind="user",
                    actor_id=principal.subject,
                    action="tenant.settings_change",
                    object_kind="tenant",
                    object_id=str(tx.tenant),
                    details={"mails_again_to": address, "topic": topic},
                )
                await audit.record(tx, act)
        return RedirectResponse("/expiring", 303)

    async def transfers(self, request: Request, principal: Principal) -> Response:
        tenant = people.tenant_of(principal)
        async with self.api.db.tenant_connection(tenant) as tx:
            request.state.viewer = await people.viewer_of(tx, principal)
            now = self.api.clock()
            context: dict[str, object] = {
                "own_id": str(tenant),
                "given": await handover_store.list_given(tx, now),
                "arriving": await handover_store.list_arriving(tx, now),
            }
        return rendering.page(request, "transfers.html", context)

    async def open_rescue(self, request: Request, principal: Principal) -> Response:
        device_id = await self._device(request, principal)
        await self.api.rescue(request, device_id)
        return RedirectResponse(f"/devices/{device_id}", 303)

    async def close_rescue(self, request: Request, principal: Principal) -> Response:
        device_id = await self._device(request, principal)
        await self.api.stop_rescue(request, device_id)
        return RedirectResponse(f"/devices/{device_id}", 303)

    async def offer(self, request: Request, principal: Principal) -> Response:
        device_id = await self._device(request, principal)
        given = (await read_form(request)).get("offered_to", "").strip().lower()
        await self.api.offer_device(request, device_id, parse_id(given, "the tenant's id"))
        return RedirectResponse("/transfers", 303)

    async def withdraw(self, request: Request, principal: Principal) -> Response:
        await self.api.withdraw_offer(request, await self._transfer(request, principal))
        return RedirectResponse("/transfers", 303)

    async def accept(self, request: Request, principal: Principal) -> Response:
        made = await self.api.accept_device(request, await self._transfer(request, principal))
        return self.pages.show_once(made.device_id, made.token, made.expires_at)

    async def decline(self, request: Request, principal: Principal) -> Response:
        await self.api.decline_device(request, await self._transfer(request, principal))
        return RedirectResponse("/transfers", 303)

    async def _device(self, request: Request, principal: Principal) -> UUID:
        device_id = _id(request, "device_id")
        async with self.api.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
            if await store.find_device(tx, device_id) is None:
                raise NotFound("no such device")
        return device_id

    async def _transfer(self, request: Request, principal: Principal) -> UUID:
        transfer_id = _id(request, "transfer_id")
        async with self.api.db.tenant_connection(people.tenant_of(principal)) as tx:
            await people.require_active_tenant(tx)
            if not await handover_store.has_transfer(tx, transfer_id):
                raise NotFound("no such offer")
        return transfer_id


def _id(request: Request, name: str) -> UUID:
    """On a page a mistyped address is simply nothing."""
    try:
        return parse_id(request.path_params[name], name)
    except Malformed:
        raise NotFound("there is nothing at this address") from None
