"""The services that this one asks over the bus, reduced to their answers; ``asked`` keeps what they were told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from pulse_common import events
from pulse_common.events_device_tokens import (
    DeviceTokensChanged,
    MintDeviceTokenReply,
    MintDeviceTokenRequest,
    PermitDeviceTokensRequest,
    RevokeDeviceTokenRequest,
)

if TYPE_CHECKING:
    from pulse_common.bus import Bus
    from pulse_common.errors import AppError

TOKEN = "pet_shown-once"
DEVICE_TOKEN = "pdt_shown-once"


@dataclass
class Neighbours:
    now: datetime
    refusal: AppError | None = None
    delay_seconds: float = 0
    created: UUID = field(default_factory=uuid4)
    asked: list[events.Call] = field(default_factory=list)

    async def listen(self, bus: Bus) -> None:
        await bus.answer(events.CreateDeviceRequest, self.create)
        await bus.answer(events.MintTokenRequest, self.mint)
        await bus.answer(events.RenameDeviceRequest, self.rename)
        await bus.answer(events.RevokeRequest, self.revoke)
        await bus.answer(events.CommandRequest, self.command)
        await bus.answer(events.DryRunRequest, self.dry_run)
        await bus.answer(PermitDeviceTokensRequest, self.change_device_tokens)
        await bus.answer(RevokeDeviceTokenRequest, self.change_device_tokens)
        await bus.answer(MintDeviceTokenRequest, self.mint_device_token)

    async def create(self, call: events.CreateDeviceRequest) -> events.CreateDeviceReply:
        self._hear(call)
        await asyncio.sleep(self.delay_seconds)
        return events.CreateDeviceReply(
            device_id=call.device_id or self.created,
            name=call.name,
            token=TOKEN,
            expires_at=self._later,
            created_at=self.now,
        )

    async def rename(self, call: events.RenameDeviceRequest) -> events.RenameDeviceReply:
        self._hear(call)
        return events.RenameDeviceReply(device_id=call.device_id, name=call.name, version=7)

    async def mint(self, call: events.MintTokenRequest) -> events.MintTokenReply:
        self._hear(call)
        return events.MintTokenReply(token=TOKEN, expires_at=self._later)

    async def change_device_tokens(
        self, call: PermitDeviceTokensRequest | RevokeDeviceTokenRequest
    ) -> DeviceTokensChanged:
        self._hear(call)
        return DeviceTokensChanged()

    async def mint_device_token(self, call: MintDeviceTokenRequest) -> MintDeviceTokenReply:
        self._hear(call)
        return MintDeviceTokenReply(
            token_id=uuid4(),
            token=DEVICE_TOKEN,
            client_id=call.device_id,
            username=f"tenant/{call.device_id}",
            expires_at=self._later,
        )

    async def revoke(self, call: events.RevokeRequest) -> events.RevokeReply:
        self._hear(call)
        return events.RevokeReply(revoked=1, revoked_at=self.now)

    async def command(self, call: events.CommandRequest) -> events.CommandReply:
        self._hear(call)
        return events.CommandReply(command_id=call.command_id)

    async def dry_run(self, call: events.DryRunRequest) -> events.DryRunReply:
        self._hear(call)
        allowed = call.topic.endswith("/telemetry")
        return events.DryRunReply(
            allowed=allowed,
            reason="allowed" if allowed else "topic_not_allowed",
            rule="allow publish x" if allowed else "deny all #",
            credential="certificate" if call.credential == "any" else call.credential,
        )

    @property
    def _later(self) -> datetime:
        return self.now + timedelta(hours=24)

    def _hear(self, call: events.Call) -> None:
        self.asked.append(call)
        if self.refusal is not None:
            raise self.refusal
