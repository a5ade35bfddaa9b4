"""Device tokens as ui_iot asks for them, over NATS: the same use cases, as the bearer of an access token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pulse_common.events_device_tokens import (
    DeviceTokensChanged,
    MintDeviceTokenReply,
    MintDeviceTokenRequest,
    PermitDeviceTokensRequest,
    RevokeDeviceTokenRequest,
)

if TYPE_CHECKING:
    from provision_api.administrators import Administrators
    from provision_api.device_tokens import DeviceTokens
    from pulse_common.bus import Bus


@dataclass(frozen=True, slots=True)
class DeviceTokenCalls:
    tokens: DeviceTokens
    administrators: Administrators

    async def listen(self, bus: Bus) -> None:
        await bus.answer(PermitDeviceTokensRequest, self.permit)
        await bus.answer(MintDeviceTokenRequest, self.mint)
        await bus.answer(RevokeDeviceTokenRequest, self.revoke)

    async def permit(self, asked: PermitDeviceTokensRequest) -> DeviceTokensChanged:
        tenant, caller = await self.administrators.of(asked)
        await self.tokens.permit(tenant, asked.device_id, caller, allowed=asked.allowed)
        return DeviceTokensChanged()

    async def mint(self, asked: MintDeviceTokenRequest) -> MintDeviceTokenReply:
        tenant, caller = await self.administrators.of(asked)
        minted = await self.tokens.mint(tenant, asked.device_id, asked.expires_in_seconds, caller)
        return MintDeviceTokenReply(
            token_id=minted.token_id,
            token=minted.text,
            client_id=asked.device_id,
            username=f"{tenant}/{asked.device_id}",
            expires_at=minted.expires_at,
        )

    async def revoke(self, asked: RevokeDeviceTokenRequest) -> DeviceTokensChanged:
        tenant, caller = await self.administrators.of(asked)
        await self.tokens.revoke(tenant, asked.device_id, asked.token_id, caller)
        return DeviceTokensChanged()
