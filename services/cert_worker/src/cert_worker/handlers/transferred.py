"""Revoke what a device had at a tenant that has given it away: it belongs to somebody else now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import ValidationError

from cert_worker.domain import Selection
from cert_worker.handlers.revoke import Change
from pulse_common import events
from pulse_common.consume import Consumer, consume
from pulse_common.errors import NotFound, Unavailable
from pulse_common.events_transfer import DeviceTransferred
from pulse_common.identity import TenantId
from pulse_common.messaging import Done, Later, Message, Never, Outcome

if TYPE_CHECKING:
    from cert_worker.handlers.revoke import Revoking
    from pulse_common.bus import Bus

REASON: events.RevocationReason = "affiliationChanged"
RETRY_SECONDS = 5.0
CONSUMER = Consumer(
    stream=events.STREAM_EVENTS,
    name="cert_worker_transfers",
    subjects=(DeviceTransferred.subject,),
)


async def revoke_for_ever(bus: Bus, revoking: Revoking) -> None:
    await consume(bus, CONSUMER, Transferred(revoking).handle)


@dataclass(frozen=True, slots=True)
class Transferred:
    revoking: Revoking

    async def handle(self, message: Message) -> Outcome:
        """Revoke all that has not expired; again is harmless."""
        try:
            event = DeviceTransferred.model_validate_json(message.data)
        except ValidationError as error:
            return Never(f"not an event of ours: {error}"[:500])
        change = Change(
            selection=Selection("device", str(event.device_id)),
            reason=REASON,
            actor_kind="service",
            actor_id="cert_worker",
            request_id=None,
        )
        try:
            await self.revoking.revoke_device(TenantId(event.tenant_id), event.device_id, change)
        except NotFound:
            return Done()  # the tenant was purged meanwhile
        except Unavailable as error:
            return Later(RETRY_SECONDS, error.message)
        return Done()
