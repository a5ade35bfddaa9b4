"""What services want people to hear of is mailed once: through crashes, and not to who wants none of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.test_glass_notices import Heard
from starlette.testclient import TestClient
from tests.post import Post, running_post

from pulse_common.errors import Unavailable
from pulse_common.http import build_app, nobody
from pulse_common.ids import PLATFORM_TENANT
from pulse_common.messaging import Done, Later, Never
from pulse_common.notices import DAILY, NoticeRaised
from pulse_common.tenancy import Database
from ui_iot import mail_store
from ui_iot.addressees import Addressees
from ui_iot.mailing import Mailing
from ui_iot.sealing import Sealer
from ui_iot.unsubscribing import Unsubscribing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from email.message import EmailMessage

    import psycopg
    from tests.parts import Postgres

    from pulse_common.identity import TenantId

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
PUBLIC_URL = "https://pulse.example"


class FakeClock:
    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def post() -> Iterator[Post]:
    with running_post() as found:
        yield found


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
async def mailing(
    postgres: Postgres, superuser: psycopg.Connection, post: Post, clock: FakeClock
) -> AsyncIterator[Mailing]:
    superuser.execute("DELETE FROM notices")
    database = Database(postgres.url("svc_ui_iot"), name="test", max_connections=2)
    await database.open()

    async def administrators(tenant: TenantId) -> list[str]:
        return [f"admin-of-{tenant}@acme.example"]

    yield Mailing(
        db=database,
        mailer=post.mailer(),
        addressees=Addressees(
            db=database, administrators=administrators, operators=("olivia@pulse.example",)
        ),
        unsubscribing=Unsubscribing(db=database, sealer=Sealer([b"k" * 32]), public_url=PUBLIC_URL),
        public_url=PUBLIC_URL,
        clock=clock,
    )
    await database.close()


@pytest.fixture
def tenant(superuser: psycopg.Connection) -> UUID:
    made = uuid4()
    superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'Acme')", [made])
    return made


@dataclass(frozen=True)
class Raised:
    """A notice as a service would raise it."""

    tenant: UUID
    key: str = "k"
    topic: str = "certificates"
    patience: int = 0
    to: tuple[str, ...] = ()
    at: datetime = NOW
    title: str = field(default="Something expires")

    def heard(self) -> Heard:
        event = NoticeRaised(
            tenant_id=self.tenant,
            at=self.at,
            topic=self.topic,
            notice_key=self.key,
            title=self.title,
            text="pump-7: 2026-01-08",
            path="/expiring",
            patience_seconds=self.patience,
            to=list(self.to),
        )
        return Heard(event.to_bytes())


async def everything(mailing: Mailing) -> int:
    mails = 0
    while await mailing.mail_next():
        mails += 1
    return mails


def text_of(message: EmailMessage) -> str:
    return str(message.get_content())


async def test_an_urgent_notice_is_mailed_at_once_and_once(
    mailing: Mailing, post: Post, tenant: UUID
) -> None:
    for _ in range(2):  # the stream delivers again
        assert await mailing.handle(Raised(tenant).heard()) == Done()
        await everything(mailing)

    ((to, message),) = post.received
    assert to == [f"admin-of-{tenant}@acme.example"]
    assert message["subject"] == "Pulse: Something expires"
    assert "https://pulse.example/expiring" in text_of(message)
    assert message["list-unsubscribe-post"] == "List-Unsubscribe=One-Click"


async def test_what_can_wait_comes_as_one_digest_a_tenant_and_day(
    mailing: Mailing, post: Post, tenant: UUID, clock: FakeClock
) -> None:
    await mailing.handle(Raised(tenant, "a", patience=DAILY).heard())
    assert await everything(mailing) == 0  # others may follow
    clock.advance(60)
    await mailing.handle(Raised(tenant, "b", patience=DAILY, title="A second").heard())
    clock.advance(mail_store.GATHER_SECONDS)
    assert await everything(mailing) == 1
    await mailing.handle(Raised(tenant, "c", patience=DAILY, title="A third", at=clock()).heard())
    clock.advance(DAILY - 60)
    assert await everything(mailing) == 0
    clock.advance(60)
    assert await everything(mailing) == 1

    (_, first), (_, second) = post.received
    assert first["subject"] == "Pulse: 2 things to look at"
    assert "A second" in text_of(first)
    assert second["subject"] == "Pulse: A third"


async def test_one_that_can_wait_less_takes_the_others_along(
    mailing: Mailing, post: Post, tenant: UUID, clock: FakeClock
) -> None:
    await mailing.handle(Raised(tenant, "a", patience=DAILY).heard())
    clock.advance(mail_store.GATHER_SECONDS)
    await everything(mailing)
    await mailing.handle(Raised(tenant, "b", patience=DAILY, at=clock()).heard())
    await mailing.handle(Raised(tenant, "c", patience=3600, at=clock()).heard())
    clock.advance(3600)

    assert await everything(mailing) == 1
    assert post.received[-1][1]["subject"] == "Pulse: 2 things to look at"


async def test_operators_hear_of_the_platform_and_nobody_else_does(
    mailing: Mailing, post: Post
) -> None:
    await mailing.handle(Raised(PLATFORM_TENANT, str(uuid4())).heard())
    await everything(mailing)

    assert [to for to, _ in post.received] == [["olivia@pulse.example"]]


async def test_a_notice_goes_to_those_it_names(mailing: Mailing, post: Post, tenant: UUID) -> None:
    to = ("a@acme.example", "b@acme.example", "no address, x@evil.example")
    await mailing.handle(Raised(tenant, to=to).heard())
    await everything(mailing)

    # Each has a mail of its own, for the link in it is theirs.
    assert [to for to, _ in post.received] == [["a@acme.example"], ["b@acme.example"]]


async def test_a_mail_server_that_is_away_loses_nothing_and_nobody_is_told_twice(
    mailing: Mailing, post: Post, tenant: UUID, clock: FakeClock
) -> None:
    await mailing.handle(Raised(tenant, to=("a@acme.example", "b@acme.example")).heard())
    post.delayed.add("b@acme.example")
    with pytest.raises(Unavailable):
        await everything(mailing)
    assert await everything(mailing) == 0  # not at once
    post.delayed.clear()
    clock.advance(61)

    assert await everything(mailing) == 1
    assert [to for to, _ in post.received] == [["a@acme.example"], ["b@acme.example"]]


async def test_an_address_that_does_not_exist_holds_nobody_up(
    mailing: Mailing, post: Post, tenant: UUID
) -> None:
    post.unknown.add("gone@acme.example")
    await mailing.handle(Raised(tenant, to=("gone@acme.example", "b@acme.example")).heard())

    assert await everything(mailing) == 1
    assert [to for to, _ in post.received] == [["b@acme.example"]]


async def test_a_death_between_mail_and_note_repeats_that_mail_once_at_most(
    mailing: Mailing, post: Post, tenant: UUID, clock: FakeClock, superuser: psycopg.Connection
) -> None:
    await mailing.handle(Raised(tenant).heard())
    dying = replace(mailing, db=Dying(mailing.db))
    for _ in range(5):
        with pytest.raises(Killed):
            if not await dying.mail_next():
                raise Killed
        clock.advance(mail_store.CLAIM_SECONDS + 1)
    await mailing._clean()

    assert len(post.received) == 2
    assert await everything(mailing) == 0
    (told,) = superuser.execute(
        "SELECT told_at IS NOT NULL FROM notices WHERE tenant_id = %s", [tenant]
    ).fetchall()
    assert told == (True,)


async def test_who_clicked_gets_no_more_of_that_topic_and_all_of_the_others(
    mailing: Mailing, post: Post, tenant: UUID
) -> None:
    await mailing.handle(Raised(tenant, "a", to=("Ann@acme.example",)).heard())
    await everything(mailing)
    link = post.received[0][1]["list-unsubscribe"].strip("<>")
    with client_of(mailing) as client:
        assert client.get(link).status_code == 200  # a scanner follows links: nothing happens
        await mailing.handle(Raised(tenant, "b", to=("ann@acme.example",)).heard())
        assert await everything(mailing) == 1
        answer = client.post(link, data={"List-Unsubscribe": "One-Click"})
    await mailing.handle(Raised(tenant, "c", to=("ann@acme.example",)).heard())
    await mailing.handle(Raised(tenant, "d", topic="alerts", to=("ann@acme.example",)).heard())
    await everything(mailing)

    assert answer.status_code == 200
    subjects = [text_of(message).splitlines()[-1] for _, message in post.received]
    assert len(subjects) == 3
    assert "about alerts" in text_of(post.received[-1][1])


@pytest.mark.parametrize("link", ["x", "A" * 5000, "%00", "A" * 80, "é"])
async def test_a_link_that_nobody_sealed_does_nothing(mailing: Mailing, link: str) -> None:
    with client_of(mailing) as client:
        assert client.post(f"{PUBLIC_URL}/unsubscribe/{link}").status_code == 404


async def test_a_link_of_another_purpose_does_nothing(mailing: Mailing) -> None:
    unsubscribing = mailing.unsubscribing
    other = replace(unsubscribing, sealer=Sealer([b"o" * 32]))
    url = other.url_for(uuid4(), "a@acme.example", ["alerts"])

    with client_of(mailing) as client:
        assert client.post(url).status_code == 404


async def test_what_is_no_notice_is_parked_and_a_database_away_is_waited_for(
    mailing: Mailing, tenant: UUID
) -> None:
    await mailing.db.close()

    assert isinstance(await mailing.handle(Heard(b"{}")), Never)
    assert isinstance(await mailing.handle(Raised(tenant).heard()), Later)


def client_of(mailing: Mailing) -> TestClient:
    endpoints = [replace(one, limits=()) for one in mailing.unsubscribing.endpoints()]
    return TestClient(build_app(endpoints, nobody), PUBLIC_URL)


class Killed(Exception):  # noqa: N818
    """The process is gone."""


class Dying(Database):
    """Dies when a mail that has gone out is to be noted: with the third transaction of the notices' role."""

    def __init__(self, real: Database) -> None:
        self._real = real
        self._taken = 0

    def tenant_connection(self, tenant: TenantId) -> object:  # type: ignore[override]
        return self._real.tenant_connection(tenant)

    def service_connection(self, role: str) -> object:  # type: ignore[override]
        self._taken += 1
        if self._taken % 2 == 0:
            raise Killed
        return self._real.service_connection(role)  # type: ignore[arg-type]


def test_titles_that_could_be_headers_are_no_notices() -> None:
    good = NoticeRaised(
        tenant_id=uuid4(), at=NOW + timedelta(0), topic="alerts", notice_key="k", title="T", text=""
    )
    for change in (
        {"title": "a\nBcc: x"},
        {"path": "//evil"},
        {"path": "https://x"},
        {"topic": "A"},
    ):
        with pytest.raises(ValueError, match="validation error"):
            NoticeRaised.model_validate({**good.model_dump(), **change})
