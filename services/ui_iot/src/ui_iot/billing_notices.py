"""Tell a tenant by e-mail what billing wants it to hear: unpaid bills, used-up limits.

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

RETRY_SECONDS = 60.0
CONSUMER = Consumer(
    stream=events.STREAM_EVENTS,
    name="ui_iot_billing_notices",
    subjects=(events.BillingNotice.subject,),
    # Notices of the time before anybody listened are old news.
    only_new=True,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingNotices:
    mailer: Mailer
    addressees: Addressees
    public_url: str

    async def handle(self, message: Message) -> Outcome:
        try:
            event = events.BillingNotice.model_validate_json(message.data)
        except ValidationError as error:
            return Never(f"not an event of ours: {error}"[:500])
        try:
            told = await self._tell(event)
        except Unavailable as error:
            return Later(RETRY_SECONDS, error.message)
        log.info("billing_notice_told", kind=event.kind, recipients=told)
        return Done()

    async def _tell(self, event: events.BillingNotice) -> int:
        to = await self.addressees.of(TenantId(event.tenant_id))
        if to:
            subject, what = words(event.kind)
            text = f"{what}\n\nPlan, bills and what is used: {self.public_url}/billing\n"
            await self.mailer.send(to, subject, text)
        return len(to)


def words(kind: str) -> tuple[str, str]:
    """Say a notice's kind as a subject and a sentence; one of a later release is told of in general terms."""
    name, _, rest = kind.partition("_")
    what, _, percent = rest.partition("_")
    if name == "usage" and what in {"messages", "devices"} and percent.isdigit():
        used = f"{percent} % of your plan's {what}"
        return f"Pulse: {used} are used", f"You have used {used}."
    return _WORDS.get(
        kind, ("Pulse: news of your plan", f"Something about your plan needs a look ({kind}).")
    )


_UNPAID = "Pulse: a bill is unpaid"
_WORDS = {
    "trial_will_end": ("Pulse: your trial ends soon", "Your trial ends within three days."),
    "payment_failed": ("Pulse: a payment failed", "A payment of yours did not go through."),
    "dispute": ("Pulse: a payment is disputed", "Your bank tells us that a payment is disputed."),
    "dunning_unpaid": (_UNPAID, "A bill of yours is unpaid. Nothing is limited yet."),
    "dunning_grace_half": (_UNPAID, "A bill of yours is unpaid still; half of its grace is over."),
    "dunning_grace_last_day": (
        _UNPAID,
        "A bill of yours is unpaid. From tomorrow on, no device can be added until it is paid.",
    ),
    "dunning_no_new_devices": (
        "Pulse: no new devices until a bill is paid",
        "A bill of yours is unpaid. Devices can't be added until it is paid; those you have go on.",
    ),
    "dunning_read_only": (
        "Pulse: read only until a bill is paid",
        "A bill of yours is unpaid. Nothing can be changed until it is paid.",
    ),
}
