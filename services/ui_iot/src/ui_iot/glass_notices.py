"""Tell a tenant at once, by e-mail, that two operators broke the glass; the page says so too.

The event waits in the stream until the mail server has taken the message.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from pydantic import ValidationError

from pulse_common import events
from pulse_common.consume import Consumer
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.messaging import Done, Later, Message, Never, Outcome

if TYPE_CHECKING:
    from pulse_common.mail import Mailer
    from ui_iot.addressees import Addressees

log = structlog.get_logger(__name__)

RETRY_SECONDS = 5.0
CONSUMER = Consumer(
    stream=events.STREAM_EVENTS,
    name="ui_iot_glass",
    subjects=(events.GlassBroken.subject,),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class GlassNotices:
    mailer: Mailer
    addressees: Addressees
    public_url: str

    async def handle(self, message: Message) -> Outcome:
        try:
            event = events.GlassBroken.model_validate_json(message.data)
        except ValidationError as error:
            return Never(f"not an event of ours: {error}"[:500])
        try:
            told = await self._tell(event)
        except Unavailable as error:
            return Later(RETRY_SECONDS, error.message)
        log.warning("glass_broken_told", grant_id=str(event.grant_id), recipients=told)
        return Done()

    async def _tell(self, event: events.GlassBroken) -> int:
        to = await self.addressees.of(TenantId(event.tenant_id))
        if to:
            subject = "Operators opened your Pulse data without your approval"
            await self.mailer.send(to, subject, _text(event, self.public_url))
        return len(to)


def _text(event: events.GlassBroken, public_url: str) -> str:
    return (
        f"{event.operator} and {event.second_operator}, operators of Pulse, opened access to your data\n"
        f"without waiting for your approval, at {event.at:%Y-%m-%d %H:%M} UTC.\n\n"
        f"Reason: {event.reason}\n"
        f"Ticket: {event.ticket}\n"
        f"It ends by itself at {event.ends_at:%Y-%m-%d %H:%M} UTC.\n\n"
        f"What they look at, and a button that ends it now: {public_url}/access\n"
    )
