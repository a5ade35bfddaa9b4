"""What a plan and an unpaid bill refuse here, step by step; taking away and shutting out are never refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from services.ui_iot.tests.team import acts, sign_in

from pulse_common import events
from pulse_common.clock import system_clock

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio

STEPS = ["full", "no_new_devices", "read_only"]


def entitle(rig: Rig, tenant: UUID, access: str, seats: int | None = None) -> None:
    rig.superuser.execute(
        "INSERT INTO billing_entitlements (tenant_id, version, plan_id, access, hard_limits, features, cause,"
        " applied_at, seats) SELECT %s, 1, min(plan_id), %s, false, '{}', 'test', now(), %s FROM billing_plans",
        [tenant, access, seats],
    )


async def no_command(_: events.CommandRequest) -> events.CommandReply:
    raise AssertionError("a refused command was sent")


async def sent(call: events.CommandRequest) -> events.CommandReply:
    return events.CommandReply(command_id=call.command_id)


async def revoked(_: events.RevokeRequest) -> events.RevokeReply:
    return events.RevokeReply(revoked=1, revoked_at=system_clock())


@pytest.mark.parametrize("access", STEPS)
async def test_each_step_refuses_what_it_says_and_revoking_and_removing_never(
    rig: Rig, access: str
) -> None:
    acme = rig.tenant()
    device = rig.device(acme)
    admin = await sign_in(rig, acme, email="anna@acme.example")
    leaving = rig.realm.person(acme, email="bert@acme.example")
    entitle(rig, acme, access)
    read_only = access == "read_only"
    await rig.bus.answer(events.CommandRequest, no_command if read_only else sent)
    await rig.bus.answer(events.RevokeRequest, revoked)
    headers = {"x-csrf-token": admin.browser.csrf}
    path = f"/api/v2/devices/{device}"

    commanded = await admin.browser.post(
        f"{path}/commands", json={"name": "reboot"}, headers=headers
    )
    invited = await admin.invite("nina@acme.example")
    promoted = await admin.change_role(leaving.id, "tenant-admin")
    removed = await admin.remove(leaving.id)
    cut = await admin.browser.post(f"{path}/revoke", json={"reason": "superseded"}, headers=headers)

    assert commanded.status_code == (402 if read_only else 202), commanded.text
    assert invited.status_code == (402 if read_only else 201), invited.text
    assert promoted.status_code == 200, promoted.text
    assert removed.status_code == 204, removed.text
    assert cut.status_code == 200, cut.text


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
