"""The team through the edge: invited, mailed, logged in, listed; given a role; removed, and signed out that moment."""

from __future__ import annotations

import html
import re
import secrets
from email import message_from_bytes, policy
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import expect
from tests.integration.chromium import Tab, open_tab
from tests.integration.live_view import open_live_view
from tests.integration.people import ALICE, Person, edge_client, sign_in
from tests.integration.waiting import eventually

from pulse_local.seed import ACME

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import psycopg

    from pulse_local.stack import Stack

pytestmark = pytest.mark.integration

TEAM = "/api/v2/team"
PASSWORD = "correct horse battery"


@pytest.fixture
def admin(stack: Stack) -> Iterator[Person]:
    """Sign Acme's administrator in anew: what is done here needs a recent log-in."""
    person = sign_in(stack.environments, ALICE)
    yield person
    person.close()


def new_address() -> str:
    return f"{secrets.token_hex(6)}@acme.example"


def invite(admin: Person, email: str, role: str = "customer") -> str:
    answer = admin.browser.post(TEAM, json={"email": email, "role": role})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def take_up(stack: Stack, email: str) -> Person:
    """Follow the link in the mail, choose a password, and log in."""
    link = eventually(lambda: link_in_mail(stack.data / "mail", email), f"a mail to {email}")
    with edge_client(stack.environments) as stranger:
        form = stranger.get(link)
        action = re.search(r'<form id="kc-passwd-update-form"[^>]* action="([^"]+)"', form.text)
        assert action, form.text
        chosen = {"password-new": PASSWORD, "password-confirm": PASSWORD}
        assert stranger.post(html.unescape(action[1]), data=chosen).status_code == 200
    return sign_in(stack.environments, email, PASSWORD)


def link_in_mail(folder: Path, email: str) -> str | None:
    for path in sorted(folder.glob("*.eml")):
        message = message_from_bytes(path.read_bytes(), policy=policy.default)
        part = message.get_body(("plain",))
        if email in str(message["to"]) and part is not None:
            words = str(part.get_content()).split()
            return next(word for word in words if "/login-actions/action-token" in word)
    return None


def member_of(admin: Person, member_id: str) -> dict[str, str]:
    answer = admin.browser.get(f"{TEAM}/{member_id}")
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def test_invited_person_takes_it_up_sees_the_own_tenant_and_is_listed(
    stack: Stack, admin: Person, database: psycopg.Connection
) -> None:
    email = new_address()
    member_id = invite(admin, email)
    pending = member_of(admin, member_id)

    person = take_up(stack, email)

    who = person.browser.get("/api/v2/session").json()
    assert (who["email"], who["tenant"]["id"], who["roles"]) == (email, ACME, ["customer"])
    assert person.browser.get("/team").status_code == 403
    assert (pending["status"], member_of(admin, member_id)["status"]) == ("invited", "active")
    assert email in admin.browser.get("/team").text
    row = database.execute(
        "SELECT action, outcome, address FROM audit_log WHERE object_id = %s", [member_id]
    ).fetchall()
    assert row == [("user.invite", "success", "127.0.0.1")]
    person.close()


def test_removed_person_is_signed_out_live_view_and_all(stack: Stack, admin: Person) -> None:
    email = new_address()
    member_id = invite(admin, email)
    person = take_up(stack, email)

    with open_live_view(stack, cookies=person.cookies) as view:
        view.subscribe("all")
        removed = admin.browser.delete(f"{TEAM}/{member_id}")

        assert removed.status_code == 204, removed.text
        assert view.wait_until_closed() == 4401

    assert person.browser.get("/api/v2/session").status_code == 401
    assert admin.browser.get(f"{TEAM}/{member_id}").status_code == 404
    assert email not in admin.browser.get("/team").text
    person.close()


def test_new_role_ends_the_sessions_and_counts_with_the_next(stack: Stack, admin: Person) -> None:
    email = new_address()
    member_id = invite(admin, email)
    person = take_up(stack, email)
    seen = admin.browser.get(f"{TEAM}/{member_id}")

    changed = admin.browser.patch(
        f"{TEAM}/{member_id}",
        json={"role": "tenant-admin"},
        headers={"if-match": seen.headers["etag"]},
    )

    assert changed.status_code == 200, changed.text
    assert person.browser.get("/api/v2/session").status_code == 401
    again = sign_in(stack.environments, email, PASSWORD)
    assert again.browser.get("/team").status_code == 200
    person.close()
    again.close()
    assert admin.browser.delete(f"{TEAM}/{member_id}").status_code == 204


def test_last_administrator_and_other_tenants_people_stay(
    admin: Person, mallory: Person, stack: Stack
) -> None:
    own = next(
        member["id"]
        for member in admin.browser.get(TEAM).json()["members"]
        if member["email"] == ALICE
    )
    foreign = mallory.browser.get(TEAM).json()["members"]

    last = admin.browser.delete(f"{TEAM}/{own}")
    theirs = [admin.browser.delete(f"{TEAM}/{member['id']}") for member in foreign]
    taken = admin.browser.post(TEAM, json={"email": foreign[0]["email"], "role": "customer"})

    assert foreign
    assert last.status_code == 409
    assert {answer.status_code for answer in theirs} == {404}
    assert (taken.status_code, taken.json()["detail"]) == (409, "this address cannot be invited")
    assert mallory.browser.get(TEAM).json()["members"] == foreign
    sign_in(stack.environments, ALICE).close()


@pytest.fixture
def tab(stack: Stack, artifacts: Path) -> Iterator[Tab]:
    with open_tab(stack.tls.certificate, artifacts / "team") as opened:
        yield opened


def test_administrator_manages_the_team_in_a_browser(stack: Stack, tab: Tab) -> None:
    page, email = tab.page, new_address()
    page.goto(stack.url)
    page.get_by_test_id("login").click()
    page.fill("#username", ALICE)
    page.fill("#password", stack.secrets.demo_password)
    page.click("#kc-login")
    page.wait_for_url("**/devices")

    page.get_by_test_id("team").click()
    tab.shoot("team")
    page.get_by_test_id("invite").click()
    page.get_by_test_id("email").fill(email)
    page.get_by_test_id("role-tenant-admin").check()
    tab.shoot("invite")
    page.get_by_test_id("send-invitation").click()
    row = page.get_by_test_id("member-row").filter(has_text=email)
    expect(row.get_by_test_id("member-state")).to_have_text("Invited")
    expect(row.get_by_test_id("member-role")).to_have_text("Administrator")
    tab.shoot("invited")
    row.get_by_test_id("manage").click()
    tab.shoot("member")
    page.get_by_test_id("role-customer").check()
    page.get_by_test_id("change-role").click()
    expect(row.get_by_test_id("member-role")).to_have_text("Member")
    row.get_by_test_id("manage").click()
    page.get_by_test_id("remove-member").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Team")
    expect(row).to_have_count(0)
    page.set_viewport_size({"width": 400, "height": 800})
    tab.shoot("narrow")

    assert tab.complaints == []
