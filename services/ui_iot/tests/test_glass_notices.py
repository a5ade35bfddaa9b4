"""A tenant hears of a broken glass by mail: whom it named, else its administrators; the event waits for the mail."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from tests.post import Post, running_post

from pulse_common import events
from pulse_common.messaging import Done, Later, Never
from pulse_common.tenancy import Database
from ui_iot.addressees import Addressees
from ui_iot.glass_notices import GlassNotices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from uuid import UUID

    import psycopg
    from tests.parts import Postgres

    from pulse_common.identity import TenantId

pytestmark = pytest.mark.anyio
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)


@dataclass
class Heard:
    """A message as a consumer hands it over."""

    data: bytes
    subject: str = events.GlassBroken.subject
    deliveries: int = 1

    async def ack(self) -> None: ...
    async def retry(self, seconds: float) -> None: ...
    async def park(self, reason: str) -> None: ...


def broken(tenant: UUID) -> Heard:
    event = events.GlassBroken(
        tenant_id=tenant,
        at=AT,
        grant_id=uuid4(),
        operator="olivia@pulse.example",
        second_operator="otto@pulse.example",
        reason="the line stands still",
        ticket="OPS-7",
        ends_at=AT + timedelta(hours=1),
    )
    return Heard(event.to_bytes())


@pytest.fixture
def post() -> Iterator[Post]:
    with running_post() as found:
        yield found


@pytest.fixture
async def notices(postgres: Postgres, post: Post) -> AsyncIterator[GlassNotices]:
    database = Database(postgres.url("svc_ui_iot"), name="test", max_connections=2)
    await database.open()

    async def administrators(tenant: TenantId) -> list[str]:
        return [f"admin-of-{tenant}@acme.example"]

    yield GlassNotices(
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


def name_somebody(superuser: psycopg.Connection, tenant: UUID) -> None:
    superuser.execute(
        "INSERT INTO tenant_access_policies (tenant_id, notice_emails, updated_by) VALUES (%s, %s, %s)",
        [tenant, ["security@acme.example"], "alice"],
    )


async def test_administrators_hear_when_the_tenant_named_nobody(
    notices: GlassNotices, post: Post, tenant: UUID
) -> None:
    outcome = await notices.handle(broken(tenant))

    assert outcome == Done()
    ((recipients, message),) = post.received
    assert recipients == [f"admin-of-{tenant}@acme.example"]
    text = message.get_content()
    for told in ("olivia@pulse.example", "otto@pulse.example", "the line stands still", "OPS-7"):
        assert told in text
    assert "2026-01-01 13:00 UTC" in text
    assert "https://pulse.example/access" in text


async def test_whom_the_tenant_named_hears_and_nobody_else(
    notices: GlassNotices, post: Post, tenant: UUID, superuser: psycopg.Connection
) -> None:
    name_somebody(superuser, tenant)
    name_somebody(superuser, other := _another(superuser))

    await notices.handle(broken(tenant))

    assert other != tenant
    assert [recipients for recipients, _ in post.received] == [["security@acme.example"]]


async def test_the_event_waits_until_a_mail_server_has_taken_the_message(
    notices: GlassNotices, post: Post, tenant: UUID
) -> None:
    post.refusing = True
    first = await notices.handle(broken(tenant))
    post.refusing = False

    second = await notices.handle(broken(tenant))

    assert isinstance(first, Later)
    assert second == Done()
    assert len(post.received) == 1


async def test_what_is_no_event_of_ours_is_parked(notices: GlassNotices, post: Post) -> None:
    assert isinstance(await notices.handle(Heard(b"{}")), Never)
    assert post.received == []


def _another(superuser: psycopg.Connection) -> UUID:
    made = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Globex')", [made])
    return made
