"""Transfers as ui_iot asks for them over NATS, in a person's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.events_transfer import (
    AcceptDeviceRequest,
    AcceptReply,
    DeclineDeviceRequest,
    OfferDeviceRequest,
    OfferReply,
    TransferChanged,
    WithdrawOfferRequest,
)

if TYPE_CHECKING:
    from provision_api.administrators import Administrators
    from provision_api.transfers import Transfers
    from pulse_common.bus import Bus


@dataclass(frozen=True, slots=True)
class TransferCalls:
    transfers: Transfers
    administrators: Administrators

    async def listen(self, bus: Bus) -> None:
        await bus.answer(OfferDeviceRequest, self.offer)
        await bus.answer(WithdrawOfferRequest, self.withdraw)
        await bus.answer(AcceptDeviceRequest, self.accept)
        await bus.answer(DeclineDeviceRequest, self.decline)

    async def offer(self, asked: OfferDeviceRequest) -> OfferReply:
        tenant, caller = await self.administrators.of(asked)
        return await self.transfers.offer(
            tenant, asked.device_id, asked.offered_to, asked.seconds, caller
        )

    async def withdraw(self, asked: WithdrawOfferRequest) -> TransferChanged:
        tenant, caller = await self.administrators.of(asked)
        await self.transfers.withdraw(tenant, asked.transfer_id, caller)
        return TransferChanged()

    async def accept(self, asked: AcceptDeviceRequest) -> AcceptReply:
        tenant, caller = await self.administrators.of(asked)
        return await self.transfers.accept(tenant, asked.transfer_id, caller)

    async def decline(self, asked: DeclineDeviceRequest) -> TransferChanged:
        tenant, caller = await self.administrators.of(asked)
        await self.transfers.decline(tenant, asked.transfer_id, caller)
        return TransferChanged()
