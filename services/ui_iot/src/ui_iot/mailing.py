"""Mails the notices that services raise: each once, urgent ones by themselves, the others as a digest of their tenant.

Each notice is a row (``mail_store``).  A row is claimed before its mails go out and finished after; each address is
noted when its mail has gone.  A process that dies between a mail and its note leaves a claim that ends: that address
gets that mail a second time.  A second death ends the notice, so there is no third.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog
from prometheus_client import Counter
from pydantic import ValidationError

from pulse_common import events
from pulse_common.consume import Consumer
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId
from pulse_common.mail import Mailer, Undeliverable, is_address
from pulse_common.messaging import Done, Later, Message, Never, Outcome
from pulse_common.notices import NoticeRaised
from ui_iot import mail_store, mail_words

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID

    from pulse_common.clock import Clock
    from pulse_common.tenancy import Database
    from ui_iot.addressees import Addressees
    from ui_iot.mail_store import Notice
    from ui_iot.unsubscribing import Unsubscribing

log = structlog.get_logger(__name__)

EVERY_SECONDS = 30.0
RETRY_SECONDS = 60.0
CONSUMER = Consumer(
    stream=events.STREAM_EVENTS, name="ui_iot_notices", subjects=(NoticeRaised.subject,)
)
MAILS = Counter("pulse_notice_mails_total", "Mails of notices, by what became of them", ["outcome"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Mailing:
    db: Database
    mailer: Mailer
    addressees: Addressees
    unsubscribing: Unsubscribing
    public_url: str
    clock: Clock
    _woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, message: Message) -> Outcome:
        """Keep a notice that a service raised."""
        try:
            event = NoticeRaised.model_validate_json(message.data)
        except ValidationError as error:
            return Never(f"not a notice of ours: {error}"[:500])
        try:
            async with self.db.service_connection("pulse_notices") as tx:
                is_new = await mail_store.keep(tx, event)
        except Unavailable as error:
            return Later(RETRY_SECONDS, error.message)
        if is_new:
            self._woken.set()
        return Done()

    async def run(self) -> None:
        """Mail for ever; trouble of the database, the identity provider or the mail server is waited out."""
        while True:
            self._woken.clear()
            try:
                while await self.mail_next():
                    pass
                await self._clean()
            except Unavailable as error:
                log.warning("notices_wait", reason=error.message)
            try:
                await asyncio.wait_for(self._woken.wait(), EVERY_SECONDS)
            except TimeoutError:
                continue

    async def mail_next(self) -> bool:
        """Send what is due next; False when nothing is.

        Raises:
            Unavailable: something is away; what was not told is due again in a minute.
        """
        async with self.db.service_connection("pulse_notices") as tx:
            claimed = await mail_store.claim_mail(tx, self.clock())
        if not claimed:
            return False
        try:
            told = await self._tell(claimed)
        except Unavailable:
            until = self.clock() + timedelta(seconds=RETRY_SECONDS)
            async with self.db.service_connection("pulse_notices") as tx:
                await mail_store.release(tx, claimed, until)
            MAILS.labels("delayed").inc()
            raise
        async with self.db.service_connection("pulse_notices") as tx:
            await mail_store.finish(tx, claimed, self.clock())
        log.info(
            "notices_told", notices=len(claimed), topics=mail_words.topics_of(claimed), mails=told
        )
        return True

    async def _tell(self, claimed: Sequence[Notice]) -> int:
        tenant = claimed[0].tenant_id
        mails = 0
        for address, due in (await self._by_address(claimed)).items():
            async with self.db.tenant_connection(TenantId(tenant)) as tx:
                refused = await mail_store.refusals_of(tx, address)
            wanted = [one for one in due if one.topic not in refused]
            if wanted and await self._send(tenant, address, wanted):
                mails += 1
        return mails

    async def _by_address(self, claimed: Sequence[Notice]) -> dict[str, list[Notice]]:
        """Say who is to hear of what and has not yet."""
        usual: Sequence[str] = ()
        if any(not one.recipients for one in claimed):
            usual = await self.addressees.of(TenantId(claimed[0].tenant_id))
        found: dict[str, list[Notice]] = {}
        for one in claimed:
            for address in dict.fromkeys(one.recipients or usual):
                if is_address(address) and address not in one.told_to:
                    found.setdefault(address, []).append(one)
        return found

    async def _send(self, tenant: UUID, address: str, due: Sequence[Notice]) -> bool:
        link = self.unsubscribing.url_for(tenant, address, mail_words.topics_of(due))
        text = mail_words.text_of(due, self.public_url, link)
        try:
            await self.mailer.send(
                [address], mail_words.subject_of(due), text, unsubscribe_url=link
            )
        except Undeliverable as error:
            MAILS.labels("refused").inc()
            log.warning("notice_undeliverable", tenant_id=str(tenant), reason=error.message)
            return False
        MAILS.labels("sent").inc()
        async with self.db.service_connection("pulse_notices") as tx:
            await mail_store.note_told(tx, due, address)
        return True

    async def _clean(self) -> None:
        now = self.clock()
        async with self.db.service_connection("pulse_notices") as tx:
            given_up = await mail_store.give_up(tx, now)
            await mail_store.forget_old(tx, now)
        if given_up:
            MAILS.labels("given_up").inc(given_up)
            log.error("notices_given_up", notices=given_up)
