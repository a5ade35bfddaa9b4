"""Wiring of what is mailed: services' notices, broken glass, bills, and the way to want no more of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulse_common.consume import consume
from pulse_common.mail import Mailer
from ui_iot import billing_notices, glass_notices, mailing
from ui_iot.addressees import Addressees
from ui_iot.billing_notices import BillingNotices
from ui_iot.glass_notices import GlassNotices
from ui_iot.mailing import Mailing
from ui_iot.members import ADMIN, member_of
from ui_iot.unsubscribing import Unsubscribing

if TYPE_CHECKING:
    from pulse_common.identity import TenantId
    from pulse_common.runtime import Runtime
    from ui_iot.settings import Settings
    from ui_iot.wiring.made import Parts

MOST_TOLD = 50


def unsubscribing(made: Parts) -> Unsubscribing:
    return Unsubscribing(db=made.db, sealer=made.sealer, public_url=made.public_url)


def run_beside(runtime: Runtime, settings: Settings, made: Parts) -> None:
    async def administrators(tenant: TenantId) -> list[str]:
        accounts = await made.directory.search(tenant, 0, MOST_TOLD)
        members = [
            member_of(account, await made.directory.roles_of(account.id), tenant)
            for account in accounts
        ]
        return [member.email for member in members if member and member.role == ADMIN]

    mailer = Mailer.of(settings)
    addressees = Addressees(
        db=made.db, administrators=administrators, operators=settings.operator_notice_emails
    )
    glass = GlassNotices(mailer=mailer, addressees=addressees, public_url=settings.public_url)
    bills = BillingNotices(mailer=mailer, addressees=addressees, public_url=settings.public_url)
    notices = Mailing(
        db=made.db,
        mailer=mailer,
        addressees=addressees,
        unsubscribing=unsubscribing(made),
        public_url=settings.public_url,
        clock=made.clock,
    )
    runtime.spawn("broken glass", consume(made.bus, glass_notices.CONSUMER, glass.handle))
    runtime.spawn("billing notices", consume(made.bus, billing_notices.CONSUMER, bills.handle))
    runtime.spawn("notices", consume(made.bus, mailing.CONSUMER, notices.handle))
    runtime.spawn("mails", notices.run())
