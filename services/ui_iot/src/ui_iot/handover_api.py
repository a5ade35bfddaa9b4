"""The JSON API about what ends and moves: expiring certificates, rescues, transfers; provision_api does the changes."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from pulse_common.errors import NotFound
from pulse_common.events_rescue import (
    CloseRescueRequest,
    OpenRescueRequest,
    RescueClosed,
    RescueReply,
)
from pulse_common.events_transfer import (
    AcceptDeviceRequest,
    AcceptReply,
    DeclineDeviceRequest,
    OfferDeviceRequest,
    OfferReply,
    TransferChanged,
    WithdrawOfferRequest,
)
from pulse_common.http import parse_model, read_body, read_model
from pulse_common.ids import parse_id
from ui_iot import handover_models as models
from ui_iot import handover_store
from ui_iot.api import active_tenant, as_json, find_device
from ui_iot.api_models import EnrolmentToken
from ui_iot.conditional import answer
from ui_iot.handlers import request_id

if TYPE_CHECKING:
    from uuid import UUID

    from starlette.requests import Request
    from starlette.responses import Response

    from pulse_common.bus import Bus
    from pulse_common.clock import Clock
    from pulse_common.identity import Principal
    from pulse_common.tenancy import Database

SHOWN = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoverApi:
    db: Database
    bus: Bus
    clock: Clock

    async def expiring(self, request: Request, principal: Principal) -> Response:
        found = [
            models.ExpiringDevice(**dataclasses.asdict(one))
            for one in await self.list_expiring(principal)
        ]
        return answer(request, models.ExpiringAnswer(devices=found))

    async def transfers(self, request: Request, principal: Principal) -> Response:
        async with active_tenant(self.db, principal) as tx:
            given = await handover_store.list_given(tx, self.clock())
            arriving = await handover_store.list_arriving(tx, self.clock())
        shown = models.TransfersAnswer.model_validate(
            {
                "given": [dataclasses.asdict(one) for one in given],
                "arriving": [dataclasses.asdict(one) for one in arriving],
            }
        )
        return answer(request, shown)

    async def open_rescue(self, request: Request, principal: Principal) -> Response:
        raw = await read_body(request)
        body = parse_model(raw, models.RescueBody) if raw else models.RescueBody()
        device = await find_device(self.db, request, principal)
        opened = await self.rescue(request, device.id, body.seconds)
        shown = models.RescueAnswer(
            rescue_id=opened.rescue_id, serial_number=opened.serial_number, ends_at=opened.ends_at
        )
        return as_json(shown, 201)

    async def close_rescue(self, request: Request, principal: Principal) -> Response:
        device = await find_device(self.db, request, principal)
        closed = await self.stop_rescue(request, device.id)
        return as_json(models.RescueClosedAnswer(closed=closed.closed), 200)

    async def offer(self, request: Request, principal: Principal) -> Response:
        body = await read_model(request, models.OfferBody)
        device = await find_device(self.db, request, principal)
        made = await self.offer_device(request, device.id, body.offered_to, body.seconds)
        shown = models.OfferAnswer(transfer_id=made.transfer_id, expires_at=made.expires_at)
        return as_json(shown, 201)

    async def withdraw(self, request: Request, principal: Principal) -> Response:
        transfer_id = await self._transfer_id(request, principal)
        await self.withdraw_offer(request, transfer_id)
        ended = models.TransferEndedAnswer(transfer_id=transfer_id, status="withdrawn")
        return as_json(ended, 200)

    async def accept(self, request: Request, principal: Principal) -> Response:
        made = await self.accept_device(request, await self._transfer_id(request, principal))
        shown = models.AcceptedAnswer(
            device_id=made.device_id,
            device_name=made.name,
            enrolment_token=EnrolmentToken(token=made.token, expires_at=made.expires_at),
        )
        return as_json(shown, 201)

    async def decline(self, request: Request, principal: Principal) -> Response:
        transfer_id = await self._transfer_id(request, principal)
        await self.decline_device(request, transfer_id)
        ended = models.TransferEndedAnswer(transfer_id=transfer_id, status="declined")
        return as_json(ended, 200)

    async def list_expiring(self, principal: Principal) -> list[handover_store.Expiring]:
        now = self.clock()
        async with active_tenant(self.db, principal) as tx:
            return await handover_store.list_expiring(tx, now - SHOWN, now + SHOWN)

    async def rescue(
        self, request: Request, device_id: UUID, seconds: int | None = None
    ) -> RescueReply:
        call = OpenRescueRequest(
            access_token=request.state.access_token, device_id=device_id, request_id=request_id()
        )
        if seconds is not None:
            call = call.model_copy(update={"seconds": seconds})
        return await self.bus.call(call, RescueReply)

    async def stop_rescue(self, request: Request, device_id: UUID) -> RescueClosed:
        call = CloseRescueRequest(
            access_token=request.state.access_token, device_id=device_id, request_id=request_id()
        )
        return await self.bus.call(call, RescueClosed)

    async def offer_device(
        self, request: Request, device_id: UUID, offered_to: UUID, seconds: int | None = None
    ) -> OfferReply:
        call = OfferDeviceRequest(
            access_token=request.state.access_token,
            device_id=device_id,
            offered_to=offered_to,
            request_id=request_id(),
        )
        if seconds is not None:
            call = call.model_copy(update={"seconds": seconds})
        return await self.bus.call(call, OfferReply)

    async def withdraw_offer(self, request: Request, transfer_id: UUID) -> None:
        call = WithdrawOfferRequest(
            access_token=request.state.access_token,
            transfer_id=transfer_id,
            request_id=request_id(),
        )
        await self.bus.call(call, TransferChanged)

    async def accept_device(self, request: Request, transfer_id: UUID) -> AcceptReply:
        call = AcceptDeviceRequest(
            access_token=request.state.access_token,
            transfer_id=transfer_id,
            request_id=request_id(),
        )
        return await self.bus.call(call, AcceptReply)

    async def decline_device(self, request: Request, transfer_id: UUID) -> None:
        call = DeclineDeviceRequest(
            access_token=request.state.access_token,
            transfer_id=transfer_id,
            request_id=request_id(),
        )
        await self.bus.call(call, TransferChanged)

    async def _transfer_id(self, request: Request, principal: Principal) -> UUID:
        """Read the id, if this tenant has such a transfer on either side; another's is not there at all."""
        wanted = parse_id(request.path_params["transfer_id"], "transfer_id")
        async with active_tenant(self.db, principal) as tx:
            known = await handover_store.has_transfer(tx, wanted)
        if not known:
            raise NotFound("no such transfer")
        return wanted
