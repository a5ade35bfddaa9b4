"""The team, by its API: who is seen, what changes, who never is touched, and what happens while Keycloak is away."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest
from services.ui_iot.tests.people import is_signed_in
from services.ui_iot.tests.team import Insider, acts, records, sign_in

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio

NEW = "nina@acme.example"


@pytest.fixture
async def admin(rig: Rig, acme: UUID) -> Insider:
    return await sign_in(rig, acme, email="anna@acme.example")


async def test_team_is_the_own_tenants_people_without_operators_page_by_page(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    own = [rig.realm.person(acme, email=f"b{number:02}@acme.example") for number in range(30)]
    rig.realm.person(rig.tenant("Globex"), email="mallory@globex.example")
    rig.realm.person(acme, "operator", email="c-operator@acme.example")
    rig.realm.person(None, "operator")

    first = (await admin.call("GET")).json()
    second = (await admin.call("GET", f"?after={first['next_after']}")).json()

    assert len(first["members"]) == 25
    assert second["next_after"] is None
    emails = [member["email"] for page in (first, second) for member in page["members"]]
    assert emails == ["anna@acme.example", *(person.email for person in own)]
    assert first["members"][0]["role"] == "tenant-admin"
    assert first["members"][1]["status"] == "active"


async def test_invited_person_is_made_for_the_own_tenant_mailed_and_pending(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    made = await admin.invite("Nina@Acme.example")

    assert made.status_code == 201, made.text
    body = made.json()
    assert (body["email"], body["role"], body["status"]) == (NEW, "customer", "invited")
    assert made.headers["location"] == f"/api/v2/team/{body['id']}"
    assert rig.realm.mails == [NEW]
    (person,) = [p for p in rig.realm.people.values() if p.email == NEW]
    assert person.tenant == str(acme)
    assert rig.realm.roles(person.id) == {"customer"}
    (record,) = records(rig, person.id)
    assert (record["action"], record["outcome"], record["actor_id"]) == (
        "user.invite",
        "success",
        str(admin.id),
    )
    assert (record["address"], record["user_agent"]) == ("203.0.113.9", "Firefox")
    assert (record["before"], record["after"]) == (None, {"email": NEW, "role": "customer"})


@pytest.mark.parametrize("role", ["operator", "operator-admin", "realm-admin", "", None, 1])
async def test_no_role_above_administrator_can_be_given(
    rig: Rig, acme: UUID, admin: Insider, role: object
) -> None:
    bob = rig.realm.person(acme)

    invited = await admin.call("POST", json={"email": NEW, "role": role})
    changed = await admin.call("PATCH", f"/{bob.id}", {"role": role}, if_match="*")

    assert (invited.status_code, changed.status_code) == (400, 400)
    assert rig.realm.changes() == []


@pytest.mark.parametrize(
    "body",
    [
        {"tenant_id": str(uuid4())},
        {"attributes": {"tenant_id": [str(uuid4())]}},
    ],
)
async def test_tenant_of_somebody_is_ours_to_set_alone(
    rig: Rig, acme: UUID, admin: Insider, body: dict[str, object]
) -> None:
    bob = rig.realm.person(acme)

    invited = await admin.call("POST", json={"email": NEW, "role": "customer", **body})
    changed = await admin.call("PATCH", f"/{bob.id}", {"role": "customer", **body}, if_match="*")

    assert (invited.status_code, changed.status_code) == (400, 400)
    assert rig.realm.changes() == []


@pytest.mark.parametrize("kind", ["another tenant's", "an operator", "own operator", "nobody"])
async def test_people_who_are_not_the_tenants_are_not_there(
    rig: Rig, acme: UUID, admin: Insider, kind: str
) -> None:
    target = {
        "another tenant's": lambda: rig.realm.person(rig.tenant("Globex")).id,
        "an operator": lambda: rig.realm.person(None, "operator").id,
        "own operator": lambda: rig.realm.person(acme, "operator-admin").id,
        "nobody": uuid4,
    }[kind]()

    answers = [
        await admin.call("GET", f"/{target}"),
        await admin.change_role(target, "customer"),
        await admin.remove(target),
        await admin.call("POST", f"/{target}/invitation"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.json()["detail"] for answer in answers}) == 1
    assert rig.realm.changes() == []
    assert {(outcome, reason) for _, outcome, reason in acts(rig, target)} == {
        ("denied", "no such member")
    }


async def test_taken_address_is_refused_in_one_way_whoever_has_it(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    rig.realm.person(rig.tenant("Globex"), email="mallory@globex.example")
    rig.realm.person(None, "operator", email="olivia@pulse.example")
    rig.realm.person(acme, "operator", email="own@pulse.example")

    answers = [
        await admin.invite(email)
        for email in ("mallory@globex.example", "olivia@pulse.example", "own@pulse.example")
    ]

    assert [answer.status_code for answer in answers] == [409] * 3
    details = {answer.json()["detail"] for answer in answers}
    assert details == {"this address cannot be invited"}
    assert rig.realm.changes() == []


async def test_member_is_not_invited_again_and_an_open_invitation_is_sent_again(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    rig.realm.person(acme, email="bob@acme.example")
    member = await admin.invite("bob@acme.example")
    first = (await admin.invite(NEW)).json()

    same = await admin.invite(NEW)
    other_role = await admin.invite(NEW, "tenant-admin")
    again = await admin.call("POST", f"/{first['id']}/invitation")
    (person,) = [p for p in rig.realm.people.values() if p.email == NEW]
    person.pending = False
    late = await admin.call("POST", f"/{first['id']}/invitation")

    assert [r.status_code for r in (member, same, other_role, again, late)] == [
        409,
        201,
        409,
        200,
        409,
    ]
    assert same.json()["id"] == first["id"]
    assert rig.realm.mails == [NEW, NEW, NEW]


async def test_changed_role_counts_at_once_and_is_audited(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    bob = await sign_in(rig, acme, "customer")
    read = await admin.call("GET", f"/{bob.id}")

    changed = await admin.call(
        "PATCH", f"/{bob.id}", {"role": "tenant-admin"}, if_match=read.headers["etag"]
    )

    assert changed.status_code == 200, changed.text
    assert changed.json()["role"] == "tenant-admin"
    assert changed.headers["etag"] == (await admin.call("GET", f"/{bob.id}")).headers["etag"]
    assert rig.realm.roles(bob.id) == {"tenant-admin"}
    assert not await is_signed_in(bob.browser)
    assert rig.realm.logged_out == [bob.id]
    (record,) = records(rig, bob.id)
    assert (record["action"], record["outcome"]) == ("user.role_change", "success")
    assert record["before"] == {"email": bob.person.email, "role": "customer"}
    assert record["after"] == {"role": "tenant-admin"}


async def test_role_is_changed_only_as_it_was_seen(rig: Rig, acme: UUID, admin: Insider) -> None:
    bob = rig.realm.person(acme)
    seen = (await admin.call("GET", f"/{bob.id}")).headers["etag"]
    bob.enabled = False

    blind = await admin.call("PATCH", f"/{bob.id}", {"role": "tenant-admin"})
    stale = await admin.call("PATCH", f"/{bob.id}", {"role": "tenant-admin"}, if_match=seen)

    assert (blind.status_code, stale.status_code) == (428, 412)
    assert rig.realm.roles(bob.id) == {"customer"}


async def test_removed_person_is_gone_and_signed_out_in_the_right_order(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    bob = await sign_in(rig, acme, "customer")

    removed = await admin.remove(bob.id)

    assert (removed.status_code, removed.content) == (204, b"")
    assert bob.id not in rig.realm.people
    # Keycloak tells nobody of a deletion, so the log-out is asked for first.
    assert rig.realm.changes() == ["POST logout", "DELETE"]
    assert not await is_signed_in(bob.browser)
    assert acts(rig, bob.id) == [("user.delete", "success", None)]
    assert ("session.end", "user", "removed") in rig.acts(bob.id)
    assert (await admin.remove(bob.id)).status_code == 404


async def test_last_administrator_stays(rig: Rig, acme: UUID, admin: Insider) -> None:
    rig.realm.person(acme, "tenant-admin", pending=True)
    rig.realm.person(acme, "tenant-admin", enabled=False)
    rig.realm.person(rig.tenant("Globex"), "tenant-admin")

    demoted = await admin.change_role(admin.id, "customer")
    removed = await admin.remove(admin.id)

    assert (demoted.status_code, removed.status_code) == (409, 409)
    assert "last administrator" in removed.json()["detail"]
    assert rig.realm.roles(admin.id) == {"tenant-admin"}
    assert rig.realm.changes() == []
    assert [outcome for _, outcome, _ in acts(rig, admin.id)] == ["denied", "denied"]
    assert await is_signed_in(admin.browser)


async def test_one_of_two_administrators_may_go(rig: Rig, acme: UUID, admin: Insider) -> None:
    rig.realm.person(acme, "tenant-admin")

    assert (await admin.remove(admin.id)).status_code == 204
    assert not await is_signed_in(admin.browser)


@pytest.mark.parametrize("act", ["remove each other", "remove themselves", "demote each other"])
async def test_two_at_once_never_leave_a_tenant_without_an_administrator(
    rig: Rig, acme: UUID, admin: Insider, act: str
) -> None:
    other = await sign_in(rig, acme)
    rig.realm.seconds = 0.02
    pairs = [(admin, other), (other, admin)]
    if act == "remove themselves":
        pairs = [(admin, admin), (other, other)]

    answers = await asyncio.gather(
        *(
            asker.change_role(target.id, "customer")
            if act == "demote each other"
            else asker.remove(target.id)
            for asker, target in pairs
        )
    )

    assert sorted(answer.is_success for answer in answers) == [False, True]
    left = [p for p in rig.realm.people.values() if "tenant-admin" in p.roles]
    assert len(left) == 1
    refused = next(answer.status_code for answer in answers if not answer.is_success)
    assert refused in {401, 403, 409}


async def test_somebody_who_lost_the_role_changes_nothing_by_an_old_token(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    bob = rig.realm.person(acme)
    rig.realm.people[admin.id].roles = {"customer"}

    answers = [await admin.invite(NEW), await admin.remove(bob.id)]

    assert [answer.status_code for answer in answers] == [403, 403]
    assert rig.realm.changes() == []


async def test_act_needs_a_recent_log_in_and_says_so(rig: Rig, acme: UUID, admin: Insider) -> None:
    bob = rig.realm.person(acme, pending=True)
    rig.pass_time(seconds=301)

    answers = [
        await admin.invite(NEW),
        await admin.change_role(bob.id, "tenant-admin"),
        await admin.remove(bob.id),
        await admin.call("POST", f"/{bob.id}/invitation"),
    ]

    assert {answer.status_code for answer in answers} == {401}
    assert all("insufficient_user_authentication" in a.headers["www-authenticate"] for a in answers)
    assert rig.realm.changes() == []
    assert (await admin.call("GET")).status_code == 200


async def test_key_invites_once(rig: Rig, acme: UUID, admin: Insider) -> None:
    first = await admin.invite(NEW, idempotency_key="once")
    again = await admin.invite(NEW, idempotency_key="once")
    other = await admin.invite("ned@acme.example", idempotency_key="once")

    assert (first.status_code, again.status_code, other.status_code) == (201, 201, 422)
    assert again.content == first.content
    assert again.headers["idempotency-replayed"] == "true"
    assert rig.realm.mails == [NEW]


async def test_people_of_a_suspended_tenant_do_nothing(
    rig: Rig, acme: UUID, admin: Insider
) -> None:
    rig.superuser.execute("UPDATE tenants SET status = 'suspended' WHERE tenant_id = %s", [acme])

    answers = [await admin.call("GET"), await admin.invite(NEW), await admin.remove(admin.id)]

    assert {answer.status_code for answer in answers} == {403}
    assert rig.realm.changes() == []
