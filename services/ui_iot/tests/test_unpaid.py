"""What a plan and an unpaid bill refuse here: every door that changes something, but for those listed with a reason."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal
from uuid import uuid4

import pytest
from services.ui_iot.tests.team import acts, sign_in
from services.ui_iot.tests.test_routes import GUARDED, named

from pulse_common import events
from ui_iot import unpaid
from ui_iot.people import EVERYBODY
from ui_iot.unpaid import STILL, is_refused

if TYPE_CHECKING:
    from uuid import UUID

    import httpx2
    from services.ui_iot.tests.neighbours import Neighbours
    from services.ui_iot.tests.rig import Rig
    from services.ui_iot.tests.team import Insider

    from pulse_common.http import Guarded

pytestmark = pytest.mark.anyio

Access = Literal["full", "no_new_devices", "read_only"]
CHANGING = [e for e in GUARDED if e.method != "GET" and not EVERYBODY.isdisjoint(e.roles)]
#: A new door that changes something of a tenant's is refused unless it is in ``STILL``, and belongs in one of the two.
REFUSED = {
    "POST /devices",
    "POST /devices/{device_id}/enrolment-tokens",
    "POST /devices/{device_id}/tokens",
    "POST /devices/{device_id}/rescue",
    "POST /devices/{device_id}/transfer",
    "POST /transfers/{transfer_id}/accept",
    "POST /routes",
    "POST /routes/{route_id}",
    *(f"POST /routes/{{route_id}}/{verb}" for verb in ("verify", "test", "resume", "replay")),
    "POST /groups",
    "POST /groups/{group_id}",
    "POST /groups/{group_id}/members",
    "POST /alerts/rules",
    "POST /alerts/rules/{rule_id}",
    "POST /team",
    "POST /team/{member_id}/invitation",
    "POST /api/v2/devices",
    "PATCH /api/v2/devices/{device_id}",
    "PUT /api/v2/devices/{device_id}/profile",
    "POST /api/v2/devices/{device_id}/commands",
    "POST /api/v2/devices/{device_id}/rescue",
    "POST /api/v2/devices/{device_id}/transfer",
    "POST /api/v2/transfers/{transfer_id}/accept",
    "POST /api/v2/team",
    "POST /api/v2/team/{member_id}/invitation",
    "POST /api/v2/routes",
    "PUT /api/v2/routes/{route_id}",
    *(
        f"POST /api/v2/routes/{{route_id}}/{verb}"
        for verb in ("verify", "test", "resume", "replay")
    ),
    "POST /api/v2/groups",
    "PATCH /api/v2/groups/{group_id}",
    "POST /api/v2/groups/{group_id}/devices",
    "POST /api/v2/alert-rules",
    "PUT /api/v2/alert-rules/{rule_id}",
    "POST /api/v2/device-profiles",
    "PUT /api/v2/device-profiles/{profile_id}",
    "POST /api/v2/enrolment-profiles",
    "PUT /api/v2/enrolment-profiles/{enrolment_profile_id}",
    "POST /api/v2/enrolment-profiles/{enrolment_profile_id}/claim-certificates",
    "POST /api/v2/enrolment-profiles/{enrolment_profile_id}/hardware",
    "POST /api/v2/imports",
    "PUT /api/v2/imports/{import_id}/content",
    "POST /api/v2/imports/{import_id}/start",
    "POST /api/v2/imports/{import_id}/tokens",
}


def entitle(rig: Rig, tenant: UUID, access: Access, seats: int | None = None) -> None:
    rig.superuser.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, hard_limits, features, cause,"
        " applied_at, seats) SELECT %s, 1, min(plan_id), %s, false, '{}', 'test', now(), %s FROM billing_plans",
        [tenant, access, seats],
    )


async def knock(insider: Insider, endpoint: Guarded) -> httpx2.Response:
    """Ask for a door's work with ids of nothing and a body that says nothing."""
    path = re.sub(r"\{\w+\}", str(uuid4()), endpoint.path)
    headers = {"x-csrf-token": insider.browser.csrf}
    return await insider.browser.request(endpoint.method, path, headers=headers)


def test_each_door_that_changes_something_is_classified_and_no_other() -> None:
    assert {named(e) for e in CHANGING if is_refused(e)} == REFUSED
    assert {named(e) for e in CHANGING} == REFUSED | set(STILL)
    assert not REFUSED & set(STILL)
    assert not any(is_refused(e) for e in GUARDED if e not in CHANGING)


async def test_read_only_refuses_every_door_that_is_not_excused_before_it_asks_anybody(
    rig: Rig, neighbours: Neighbours
) -> None:
    acme = rig.tenant()
    admin = await sign_in(rig, acme)
    entitle(rig, acme, "read_only")

    doors = [e for e in CHANGING if named(e) != "POST /auth/logout"]  # after it all others are shut

    answers = {named(e): (await knock(admin, e)).status_code for e in doors}

    assert {door for door, status in answers.items() if status == 402} == REFUSED
    assert 401 not in answers.values()
    assert neighbours.asked == []


@pytest.mark.parametrize("access", ["full", "no_new_devices"])
async def test_no_door_is_shut_before_the_last_step(rig: Rig, access: Access) -> None:
    acme = rig.tenant()
    entitle(rig, acme, access)
    admin = await sign_in(rig, acme)

    answers = {
        named(e): (await knock(admin, e)).status_code
        for e in CHANGING
        if e.path.startswith("/api/") and is_refused(e)
    }

    assert {door for door, status in answers.items() if status == 402} == set()


async def test_another_tenants_unpaid_bill_refuses_nothing(
    rig: Rig, neighbours: Neighbours
) -> None:
    acme = rig.tenant()
    entitle(rig, rig.tenant("Globex"), "read_only")
    admin = await sign_in(rig, acme)

    answer = await admin.browser.submit("/devices", name="Lamp")

    assert answer.status_code == 303
    assert len(neighbours.asked) == 1


async def test_a_person_is_told_in_words_and_a_program_by_a_problem_document(rig: Rig) -> None:
    acme = rig.tenant()
    admin = await sign_in(rig, acme)
    entitle(rig, acme, "read_only")

    page = await admin.browser.submit("/devices", name="Lamp")
    problem = await admin.call("POST", json={"email": "nina@acme.example", "role": "customer"})

    assert page.status_code == problem.status_code == 402
    assert "an invoice is unpaid" in page.text
    assert 'href="/billing"' in page.text
    assert problem.headers["content-type"] == "application/problem+json"
    assert "an invoice is unpaid" in problem.json()["detail"]


async def test_read_only_takes_roles_away_and_gives_none(rig: Rig) -> None:
    acme = rig.tenant()
    admin = await sign_in(rig, acme, email="anna@acme.example")
    second = rig.realm.person(acme, "tenant-admin", email="bert@acme.example")
    third = rig.realm.person(acme, email="carl@acme.example")
    entitle(rig, acme, "read_only")

    promoted = await admin.change_role(third.id, "tenant-admin")
    demoted = await admin.change_role(second.id, "customer")
    removed = await admin.remove(third.id)

    assert promoted.status_code == 402, promoted.text
    assert demoted.status_code == 200, demoted.text
    assert removed.status_code == 204, removed.text


async def test_a_stolen_device_is_cut_off_whatever_is_unpaid(
    rig: Rig, neighbours: Neighbours
) -> None:
    acme = rig.tenant()
    device = rig.device(acme)
    admin = await sign_in(rig, acme)
    entitle(rig, acme, "read_only")

    answer = await admin.browser.submit(f"/devices/{device}/revoke", reason="keyCompromise")

    assert answer.status_code == 303
    assert [type(call) for call in neighbours.asked] == [events.RevokeRequest]


def test_what_the_work_itself_decides_is_documented_with_its_refusal() -> None:
    inside = {e for e in CHANGING if STILL.get(named(e)) == unpaid.DECIDED_INSIDE}

    assert len(inside) == 4
    assert all(unpaid.may_refuse(e) for e in inside)
    assert not any(
        unpaid.may_refuse(e) for e in CHANGING if named(e) in set(STILL) - {*map(named, inside)}
    )


async def test_invitation_beyond_the_seats_is_refused_and_recorded_and_an_open_one_has_a_seat(
    rig: Rig,
) -> None:
    acme = rig.tenant()
    admin = await sign_in(rig, acme, email="anna@acme.example")
    rig.realm.person(rig.tenant("Globex"), email="mallory@globex.example")
    entitle(rig, acme, "full", seats=2)

    fits = await admin.invite("nina@acme.example")
    again = await admin.invite("nina@acme.example")
    beyond = await admin.invite("otto@acme.example")

    assert fits.status_code == 201, fits.text
    assert again.status_code == 201, again.text  # sent once more: the same seat
    assert beyond.status_code == 402
    assert beyond.headers["content-type"] == "application/problem+json"
    assert rig.realm.mails == ["nina@acme.example", "nina@acme.example"]
    reason = "your plan includes 2 seats, and 2 are in use"
    assert acts(rig, "")[-1] == ("user.invite", "denied", reason)
