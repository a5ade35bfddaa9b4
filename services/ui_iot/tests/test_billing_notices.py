"""A tenant hears by mail what billing noticed; the event waits for the mail, and others hear nothing."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.test_glass_notices import Heard, name_somebody
from tests.post import Post, running_post

from pulse_common import events
from pulse_common.messaging import Done, Later, Never
from pulse_common.tenancy import Database
from ui_iot.addressees import Addressees
from ui_iot.billing_notices import BillingNotices, words

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    import psycopg
    from tests.parts import Postgres

    from pulse_common.identity import TenantId

pytestmark = pytest.mark.anyio


@pytest.fixture
def post() -> Iterator[Post]:
    with running_post() as found:
        yield found


@pytest.fixture
async def notices(postgres: Postgres, post: Post) -> AsyncIterator[BillingNotices]:
    database = Database(postgres.url("svc_ui_iot"), name="test", max_connections=2)
    await database.open()

    async def administrators(tenant: TenantId) -> list[str]:
        return [f"admin-of-{tenant}@acme.example"]

    yield BillingNotices(
        mailer=post.mailer(),
        addressees=Addressees(db=database, administrators=administrators),
        public_url="https://pulse.example",
    )
    await database.close()


@pytest.fixture
def tenant(superuser: psycopg.Connection) -> UUID:
    made = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Acme')", [made])
    return made


def noticed(tenant: UUID) -> Heard:
    event = events.BillingNotice(
        tenant_id=tenant,
        at=datetime(2026, 1, 1, tzinfo=UTC),
        kind="usage_messages_80",
        notice_key="usage:messages:2026-01:80",
    )
    return Heard(event.to_bytes(), subject=event.subject)


async def test_administrators_hear_or_whom_the_tenant_named(
    notices: BillingNotices, post: Post, tenant: UUID, superuser: psycopg.Connection
) -> None:
    first = await notices.handle(noticed(tenant))
    name_somebody(superuser, tenant)
    second = await notices.handle(noticed(tenant))

    assert (first, second) == (Done(), Done())
    assert [recipients for recipients, _ in post.received] == [
        [f"admin-of-{tenant}@acme.example"],
        ["security@acme.example"],
    ]
    message = post.received[0][1]
    assert message["Subject"] == "Pulse: 80 % of your plan's messages are used"
    assert "https://pulse.example/billing" in message.get_content()


async def test_notice_waits_for_the_mail_server(
    notices: BillingNotices, post: Post, tenant: UUID
) -> None:
    post.refusing = True

    assert isinstance(await notices.handle(noticed(tenant)), Later)


async def test_what_is_no_notice_is_parked(notices: BillingNotices, post: Post) -> None:
    assert isinstance(await notices.handle(Heard(b"{}")), Never)
    assert post.received == []


def test_notice_of_a_later_release_is_told_of_in_general_terms() -> None:
    assert words("dunning_unpaid")[0] == "Pulse: a bill is unpaid"
    assert words("something_new")[0] == "Pulse: news of your plan"
