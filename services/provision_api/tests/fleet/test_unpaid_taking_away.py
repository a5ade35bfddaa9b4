"""While an unpaid bill leaves a tenant read-only, its administrators may still take away and shut out."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from services.provision_api.tests.fleet.fleets import make_fleet
from services.provision_api.tests.fleet.people import NOW

from provision_api.fleet.enrolment_profiles import EnrolmentProfiles
from provision_api.fleet.profiles import Profiles
from provision_api.groups import Groups
from pulse_common import events_fleet, events_groups, events_profiles
from pulse_common.errors import LimitReached
from pulse_common.ids import new_id
from pulse_common.testing.fakes import Unreachable

if TYPE_CHECKING:
    from uuid import UUID

    from services.provision_api.tests.fleet.people import People

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio


def leave_unpaid(people: People, tenant: UUID) -> None:
    people.superuser.execute(
        "UPDATE billing_entitlements SET access = 'read_only' WHERE tenant_id = %s", [tenant]
    )


async def test_hardware_that_waits_is_kept_out_and_forgotten_and_not_let_in(people: People) -> None:
    fleet = await make_fleet(people, approval="hold")
    for hardware_id in ("SN-1", "SN-2"):
        await fleet.ask(hardware_id)
    leave_unpaid(people, fleet.tenant)

    with pytest.raises(LimitReached):
        await fleet.decide("approve", "SN-1")
    rejected = await fleet.decide("reject", "SN-1")
    forgotten = await fleet.decide("forget", "SN-2")

    assert (rejected, forgotten) == (1, 1)
    assert fleet.states() == {"SN-1": "rejected"}


async def test_claim_certificate_is_revoked_and_the_enrolment_profile_deleted(
    people: People,
) -> None:
    fleet = await make_fleet(people)
    leave_unpaid(people, fleet.tenant)
    assert fleet.claim_id is not None
    fleets = EnrolmentProfiles(db=people.db, administrators=people.administrators)

    await fleet.credentials.revoke_claim(
        events_fleet.RevokeClaimCertificateRequest(
            access_token=fleet.token, claim_certificate_id=fleet.claim_id
        )
    )
    await fleets.delete(
        events_fleet.DeleteEnrolmentProfileRequest(
            access_token=fleet.token, enrolment_profile_id=fleet.profile
        )
    )

    assert people.count("enrolment_profiles", fleet.tenant) == 0


async def test_device_profile_and_group_are_deleted_and_not_changed(people: People) -> None:
    tenant = people.tenant()
    token, profile, group = people.person(tenant), new_id(), new_id()
    profiles = Profiles(
        db=people.db,
        bus=cast("Bus", Unreachable()),
        clock=lambda: NOW,
        administrators=people.administrators,
    )
    groups = Groups(db=people.db, clock=lambda: NOW, administrators=people.administrators)
    people.superuser.execute(
        "INSERT INTO device_profiles (tenant_id, profile_id, name) VALUES (%s, %s, 'P')",
        [tenant, profile],
    )
    await groups.create(
        events_groups.CreateGroupRequest(access_token=token, group_id=group, name="Roof")
    )
    leave_unpaid(people, tenant)

    for refused in (
        groups.rename(
            events_groups.RenameGroupRequest(
                access_token=token, group_id=group, name="Cellar", version=None
            )
        ),
        groups.change_members(
            events_groups.ChangeMembersRequest(
                access_token=token, group_id=group, join=[], leave=[]
            )
        ),
    ):
        with pytest.raises(LimitReached):
            await refused
    await groups.delete(events_groups.DeleteGroupRequest(access_token=token, group_id=group))
    await profiles.delete(
        events_profiles.DeleteProfileRequest(access_token=token, profile_id=profile, version=None)
    )

    assert people.count("device_groups", tenant) == 0
    assert people.count("device_profiles", tenant) == 0
