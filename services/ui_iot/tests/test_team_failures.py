"""The team while Keycloak is away, or goes away half-way: a clear 503, nothing half done, and the next try repairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.people import is_signed_in
from services.ui_iot.tests.team import Insider, acts, sign_in

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.realm import Mood
    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio

NEW = "nina@acme.example"


@pytest.fixture
async def admin(rig: Rig, acme: UUID) -> Insider:
    return await sign_in(rig, acme)


def invited(rig: Rig) -> list[UUID]:
    return [person.id for person in rig.realm.people.values() if person.email == NEW]


@pytest.mark.parametrize("mood", ["away", "forbidding"])
async def test_without_keycloak_the_answer_is_503_and_nobody_is_signed_out(
    rig: Rig, acme: UUID, admin: Insider, mood: Mood
) -> None:
    bob = await sign_in(rig, acme, "customer")
    rig.realm.mood = mood

    answers = [
        await admin.call("GET"),
        await admin.call("GET", f"/{bob.id}"),
        await admin.invite(NEW),
        await admin.change_role(bob.id, "tenant-admin"),
        await admin.remove(bob.id),
    ]

    assert {answer.status_code for answer in answers} == {503}
    assert {answer.json()["type"] for answer in answers} == {"urn:pulse:problem:unavailable"}
    assert [(action, outcome) for action, outcome, _ in acts(rig, bob.id)] == [
        ("user.role_change", "failure"),
        ("user.delete", "failure"),
    ]
    assert await is_signed_in(bob.browser)
    assert await is_signed_in(admin.browser)


@pytest.mark.parametrize(
    "call", ["POST role-mappings/realm", "PUT execute-actions-email", "GET role-mappings/realm"]
)
async def test_invitation_that_fails_half_way_is_undone_and_works_the_next_time(
    rig: Rig, admin: Insider, call: str
) -> None:
    rig.realm.fails_at = call
    failed = await admin.invite(NEW, idempotency_key="same")
    left = invited(rig)
    rig.realm.fails_at = ""

    repaired = await admin.invite(NEW, idempotency_key="same")

    assert (failed.status_code, left, repaired.status_code) == (503, [], 201)
    assert rig.realm.mails == [NEW]
    assert acts(rig, repaired.json()["id"]) == [("user.invite", "success", None)]


async def test_invitation_whose_mail_does_not_go_out_is_undone(rig: Rig, admin: Insider) -> None:
    rig.realm.mood = "without mail"

    answer = await admin.invite(NEW)

    assert answer.status_code == 503
    assert invited(rig) == []


async def test_invitation_that_could_not_even_be_undone_is_listed_and_completed_by_the_next(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    left = rig.realm.person(acme, email=NEW, pending=True)
    left.roles = set()
    listed = (await admin.call("GET", f"/{left.id}")).json()
    resent = await admin.call("POST", f"/{left.id}/invitation")

    completed = await admin.invite(NEW)

    assert (listed["role"], listed["status"]) == (None, "invited")
    assert resent.status_code == 409
    assert (completed.status_code, completed.json()["id"]) == (201, str(left.id))
    assert rig.realm.roles(left.id) == {"customer"}


async def test_removal_that_fails_half_way_leaves_the_person_and_is_done_by_the_next_try(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    bob = await sign_in(rig, acme, "customer")
    rig.realm.fails_at = "DELETE"
    failed = await admin.remove(bob.id)
    rig.realm.fails_at = ""

    done = await admin.remove(bob.id)

    assert (failed.status_code, done.status_code) == (503, 204)
    assert [outcome for _, outcome, _ in acts(rig, bob.id)] == ["failure", "success"]


@pytest.mark.parametrize(
    ("before", "after"), [("customer", "tenant-admin"), ("tenant-admin", "customer")]
)
async def test_change_of_role_that_fails_half_way_is_completed_by_the_next_try(
    rig: Rig, acme: UUID, admin: Insider, before: str, after: str
) -> None:
    bob = rig.realm.person(acme, before)
    rig.realm.fails_at = "DELETE role-mappings/realm"
    failed = await admin.change_role(bob.id, after)
    between = rig.realm.roles(bob.id)
    rig.realm.fails_at = ""

    done = await admin.change_role(bob.id, after)

    assert (failed.status_code, done.status_code) == (503, 200)
    assert between == {"customer", "tenant-admin"}
    assert rig.realm.roles(bob.id) == {after}
    assert [outcome for _, outcome, _ in acts(rig, bob.id)] == ["failure", "success"]


async def test_role_that_changed_counts_even_if_the_log_out_fails(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    bob = await sign_in(rig, acme, "customer")
    rig.realm.fails_at = "POST logout"

    done = await admin.change_role(bob.id, "tenant-admin")

    assert done.status_code == 200
    assert not await is_signed_in(bob.browser)


async def test_one_admin_token_serves_until_shortly_before_its_end_and_is_replaced_when_refused(
    rig: Rig, admin: Insider
) -> None:
    await admin.call("GET")
    await admin.call("GET")
    assert len(rig.realm.tokens) == 1

    rig.pass_time(seconds=51)
    await admin.call("GET")
    assert len(rig.realm.tokens) == 2

    rig.realm.tokens.append("keys were replaced")
    assert (await admin.call("GET")).status_code == 200
    assert len(rig.realm.tokens) == 4
