"""The team's pages: who sees them, what the forms do, and that a person is led to a fresh log-in before an act."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.people import is_signed_in
from services.ui_iot.tests.rig import HTML
from services.ui_iot.tests.team import Insider, sign_in

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio

NEW = "nina@acme.example"
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
async def admin(rig: Rig, acme: UUID) -> Insider:
    return await sign_in(rig, acme, email="anna@acme.example")


async def test_only_administrators_are_led_to_the_team_and_let_in(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    bob = await sign_in(rig, acme, "customer")

    own, theirs = await admin.browser.page("/devices"), await bob.browser.page("/devices")

    assert 'href="/team"' in own.text
    assert 'href="/team"' not in theirs.text
    assert (await admin.browser.page("/team")).status_code == 200
    assert (await bob.browser.page("/team")).status_code == 403


async def test_page_shows_the_own_people_and_their_state(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    rig.realm.person(acme, email="bob@acme.example", pending=True).created = None
    rig.realm.person(rig.tenant("Globex"), email="mallory@globex.example")

    page = await admin.browser.page("/team")

    assert "bob@acme.example" in page.text
    assert ">Invited</span>" in page.text
    assert "mallory" not in page.text
    assert page.text.count('data-testid="yourself"') == 1


async def test_long_team_has_a_way_on(rig: Rig, acme: UUID, admin: Insider) -> None:
    for number in range(30):
        rig.realm.person(acme, email=f"b{number:02}@acme.example")

    first = await admin.browser.page("/team")
    second = await admin.browser.page("/team?after=25")

    assert 'href="/team?after=25"' in first.text
    assert "b29@acme.example" in second.text
    assert "/team?after" not in second.text
    assert (await admin.browser.page("/team?after=x")).status_code == 400


async def test_form_invites_and_leads_back(rig: Rig, admin: Insider) -> None:
    form = await admin.browser.page("/team/invite")

    sent = await admin.browser.submit("/team", email=f" {NEW.upper()} ", role="tenant-admin")

    assert form.status_code == 200
    assert (sent.status_code, sent.headers["location"]) == (303, "/team")
    assert rig.realm.mails == [NEW]
    assert NEW in (await admin.browser.page("/team")).text


@pytest.mark.parametrize(
    ("email", "status"),
    [
        ("", 400),
        (SCRIPT, 400),
        ("two@acme.example,three@acme.example", 400),
        (f"{'a' * 250}@acme.example", 400),
        ("refused@acme.example", 400),
        ("anna@acme.example", 409),
        ("mallory@globex.example", 409),
    ],
)
async def test_form_that_is_refused_says_why_and_keeps_what_was_typed(
    rig: Rig, admin: Insider, email: str, status: int
) -> None:
    rig.realm.person(rig.tenant("Globex"), email="mallory@globex.example")

    refused = await admin.browser.submit("/team", email=email, role="customer")

    assert refused.status_code == status
    assert 'role="alert"' in refused.text
    assert SCRIPT not in refused.text
    assert rig.realm.mails == []


@pytest.mark.parametrize("path", ["/team", "/team/{id}/role"])
async def test_form_with_another_role_is_refused(
    rig: Rig, acme: UUID, admin: Insider, path: str
) -> None:
    bob = rig.realm.person(acme)

    refused = await admin.browser.submit(path.format(id=bob.id), email=NEW, role="operator")

    assert refused.status_code == 400
    assert rig.realm.changes() == []


async def test_forms_of_a_member_do_what_they_say(rig: Rig, acme: UUID, admin: Insider) -> None:
    bob = await sign_in(rig, acme, "customer", email="bob@acme.example")
    guest = rig.realm.person(acme, email="guest@acme.example", pending=True)
    page = await admin.browser.page(f"/team/{bob.id}")

    role = await admin.browser.submit(f"/team/{bob.id}/role", role="tenant-admin")
    again = await admin.browser.submit(f"/team/{guest.id}/invitation")
    gone = await admin.browser.submit(f"/team/{bob.id}/remove")

    assert page.status_code == 200
    assert {r.status_code for r in (role, again, gone)} == {303}
    assert {r.headers["location"] for r in (role, again, gone)} == {"/team"}
    assert rig.realm.mails == ["guest@acme.example"]
    assert bob.id not in rig.realm.people
    assert not await is_signed_in(bob.browser)


async def test_refused_act_is_told_on_the_members_page(rig: Rig, admin: Insider) -> None:
    for act in ("remove", "role"):
        refused = await admin.browser.submit(f"/team/{admin.id}/{act}", role="customer")

        assert refused.status_code == 409
        assert "This is the tenant&#39;s last administrator" in refused.text
    assert rig.realm.changes() == []


@pytest.mark.parametrize("path", ["/team/invite", "/team/{id}"])
async def test_old_log_in_is_led_to_a_new_one_before_the_form(
    rig: Rig, acme: UUID, admin: Insider, path: str
) -> None:
    bob = rig.realm.person(acme)
    rig.pass_time(seconds=301)
    wanted = path.format(id=bob.id)

    led = await admin.browser.page(wanted)

    assert led.status_code == 303
    assert led.headers["location"] == "/auth/login?step_up=1&next=" + wanted.replace("/", "%2F")


async def test_form_that_waited_too_long_does_nothing(rig: Rig, acme: UUID, admin: Insider) -> None:
    bob = rig.realm.person(acme)
    rig.pass_time(seconds=301)

    for path in (
        "/team",
        f"/team/{bob.id}/role",
        f"/team/{bob.id}/remove",
        f"/team/{bob.id}/invitation",
    ):
        led = await admin.browser.submit(path, email=NEW, role="tenant-admin")

        assert led.status_code == 303
        assert led.headers["location"].startswith("/auth/login?step_up=1")
    assert rig.realm.changes() == []


async def test_forms_need_proof_of_one_of_our_own_pages(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    bob = rig.realm.person(acme)

    for path in ("/team", f"/team/{bob.id}/role", f"/team/{bob.id}/remove"):
        forged = await admin.browser.post(
            path, data={"email": NEW, "role": "tenant-admin"}, headers=HTML
        )
        assert forged.status_code == 403
    assert rig.realm.changes() == []


async def test_nobody_and_another_tenants_people_are_one_missing_page(
    rig: Rig, admin: Insider
) -> None:
    other = rig.realm.person(rig.tenant("Globex")).id

    pages = [await admin.browser.page(f"/team/{who}") for who in (other, uuid4(), "x")]

    assert [page.status_code for page in pages] == [404] * 3
    assert "Globex" not in pages[0].text


async def test_without_keycloak_there_is_a_page_that_says_so(rig: Rig, admin: Insider) -> None:
    rig.realm.mood = "away"

    page = await admin.browser.page("/team")

    assert page.status_code == 503
    assert "the identity provider is away" in page.text
    assert 'href="/devices"' in page.text


async def test_strangers_mails_are_bounded_for_the_tenant(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    other = await sign_in(rig, acme)
    answers = [
        (await (admin, other)[number % 2].invite(f"n{number}@acme.example")).status_code
        for number in range(62)
    ]

    form = await admin.browser.submit("/team", email=NEW, role="customer")

    assert answers == [201] * 60 + [429] * 2
    assert form.status_code == 429
