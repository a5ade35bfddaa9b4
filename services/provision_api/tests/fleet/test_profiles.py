"""Device profiles: made once, changed by the faster, kept while they are used, and told of."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast
from uuid import UUID, uuid4

import pytest

from provision_api.fleet.profiles import Profiles
from pulse_common import events
from pulse_common import events_profiles as calls
from pulse_common.errors import (
    AppError,
    Conflict,
    Forbidden,
    LimitReached,
    Malformed,
    NotFound,
    Stale,
    Unauthenticated,
)
from pulse_common.ids import new_id

if TYPE_CHECKING:
    from services.provision_api.tests.fleet.people import People

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio
SUBJECT = calls.DeviceProfileChanged.subject
METERS = calls.ProfileWanted(
    name="Meters", tokens_allowed=True, telemetry_schema={"required": ["load"]}
)


class Ca:
    """A bus at whose end one other certificate profile issues."""

    async def call(self, request: events.AuthoritiesRequest, _: object) -> events.AuthoritiesReply:
        if request.profile != "meter":
            raise NotFound("no such profile")
        return events.AuthoritiesReply(chain_pem="")


def profiles(people: People) -> Profiles:
    return Profiles(
        db=people.db,
        bus=cast("Bus", Ca()),
        clock=people.clock,
        administrators=people.administrators,
    )


async def make(
    people: People, token: str, wanted: calls.ProfileWanted = METERS, profile: UUID | None = None
) -> calls.ProfileReply:
    asked = calls.CreateProfileRequest(
        access_token=token, profile_id=profile or new_id(), wanted=wanted
    )
    return await profiles(people).create(asked)


async def assign(
    people: People, token: str, device: UUID, profile: UUID | None, version: int | None = None
) -> calls.AssignProfileReply:
    asked = calls.AssignProfileRequest(
        access_token=token, device_id=device, profile_id=profile, version=version
    )
    return await profiles(people).assign(asked)


async def test_profile_is_made_once_told_of_once_and_audited(people: People) -> None:
    tenant, profile = people.tenant(), new_id()
    token = people.person(tenant)

    for _ in range(2):
        assert (await make(people, token, profile=profile)).version == 1

    assert people.count("device_profiles", tenant) == 1
    assert people.acts(tenant) == ["device_profile.create"]
    [told] = people.told(tenant, SUBJECT)
    assert (told["what"], told["profile_id"], told["device_id"]) == ("created", str(profile), None)
    assert (told["tokens_allowed"], told["has_schema"]) == (True, True)


async def test_change_is_for_the_version_that_was_seen(people: People) -> None:
    tenant = people.tenant()
    token = people.person(tenant)
    made = await make(people, token)
    wanted = METERS.model_copy(update={"tokens_allowed": False})

    def asked(version: int | None) -> calls.ChangeProfileRequest:
        return calls.ChangeProfileRequest(
            access_token=token, profile_id=made.profile_id, wanted=wanted, version=version
        )

    changed = await profiles(people).change(asked(1))
    with pytest.raises(Stale):
        await profiles(people).change(asked(1))

    assert changed.version == 2
    assert [one["tokens_allowed"] for one in people.told(tenant, SUBJECT)] == [True, False]
    [(before, after)] = people.rows(
        "SELECT before, after FROM audit_log WHERE tenant_id = %s AND action = 'device_profile.change'",
        tenant,
    )
    assert (before["tokens_allowed"], after["tokens_allowed"]) == (True, False)


async def test_profile_of_a_device_cannot_be_deleted_and_one_of_none_can(people: People) -> None:
    tenant = people.tenant()
    token, device = people.person(tenant), people.device(tenant)
    made = await make(people, token)
    await assign(people, token, device, made.profile_id)
    gone = calls.DeleteProfileRequest(
        access_token=token, profile_id=made.profile_id, version=made.version
    )

    with pytest.raises(Conflict):
        await profiles(people).delete(gone)
    await assign(people, token, device, None)
    await profiles(people).delete(gone)

    assert people.count("device_profiles", tenant) == 0
    told = [(one["what"], one["tokens_allowed"]) for one in people.told(tenant, SUBJECT)]
    assert told == [("created", True), ("assigned", True), ("assigned", False), ("deleted", False)]


async def test_device_gets_a_profile_for_the_version_that_was_seen(people: People) -> None:
    tenant = people.tenant()
    token, device = people.person(tenant), people.device(tenant)
    made = await make(people, token)

    given = await assign(people, token, device, made.profile_id, 1)
    with pytest.raises(Stale):
        await assign(people, token, device, None, 1)

    assert given.version == 2
    assert people.rows("SELECT profile_id FROM devices WHERE device_id = %s", device) == [
        (made.profile_id,)
    ]


@pytest.mark.parametrize(
    ("wishes", "refusal"),
    [
        ({"name": " "}, Malformed),
        ({"name": "a\x00b"}, Malformed),
        ({"telemetry_schema": {"type": "objekt"}}, Malformed),
        ({"telemetry_schema": {"$ref": "https://example.com/s.json"}}, Malformed),
        ({"certificate_profile": "nobody-issues"}, Malformed),
        ({"name": "Taken"}, Conflict),
    ],
)
async def test_bad_wishes_are_refused_and_change_nothing(
    people: People, wishes: dict[str, Any], refusal: type[AppError]
) -> None:
    tenant = people.tenant()
    token = people.person(tenant)
    await make(people, token, calls.ProfileWanted(name="Taken"))

    with pytest.raises(refusal):
        await make(people, token, METERS.model_copy(update=wishes))

    assert people.count("device_profiles", tenant) == 1


async def test_certificate_profile_that_issues_is_taken(people: People) -> None:
    tenant = people.tenant()
    token = people.person(tenant)

    await make(people, token, METERS.model_copy(update={"certificate_profile": "meter"}))

    assert people.count("device_profiles", tenant) == 1


async def test_another_tenants_profile_is_not_there(people: People) -> None:
    acme, globex = people.tenant(), people.tenant()
    made = await make(people, people.person(acme))
    mallory, device = people.person(globex), people.device(globex)

    with pytest.raises(NotFound):
        await assign(people, mallory, device, made.profile_id)
    with pytest.raises(NotFound):
        await profiles(people).delete(
            calls.DeleteProfileRequest(
                access_token=mallory, profile_id=made.profile_id, version=None
            )
        )
    with pytest.raises(NotFound):
        await assign(people, mallory, people.device(acme), None)

    assert people.count("device_profiles", acme) == 1


async def test_only_an_administrator_of_a_tenant_that_pays_may(people: People) -> None:
    tenant = people.tenant()

    with pytest.raises(Unauthenticated):
        await make(people, f"forged-{uuid4()}")
    with pytest.raises(Forbidden):
        await make(people, people.person(tenant, "customer"))
    with pytest.raises(LimitReached):
        await make(people, people.person(people.tenant(access="read_only")))
