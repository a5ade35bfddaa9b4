"""Claims: one certificate of a fleet, many devices, none of them twice, none too many, none of another tenant."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from services.provision_api.tests.fleet.ca import make_csr
from services.provision_api.tests.fleet.fleets import CALLER, Fleet, make_fleet, new_key

from provision_api.enrolment import Enrolled
from provision_api.fleet.enrolling import ByClaim, Held
from pulse_common import events_fleet as calls
from pulse_common.errors import (
    AppError,
    Conflict,
    Forbidden,
    LimitReached,
    Malformed,
    NotFound,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from uuid import UUID

    from services.provision_api.tests.fleet.people import People

pytestmark = pytest.mark.anyio


async def revoke(fleet: Fleet) -> None:
    assert fleet.claim_id is not None
    asked = calls.RevokeClaimCertificateRequest(
        access_token=fleet.token, claim_certificate_id=fleet.claim_id
    )
    await fleet.credentials.revoke_claim(asked)


def uses(fleet: Fleet) -> int:
    [(found,)] = fleet.people.rows(
        "SELECT uses FROM claim_certificates WHERE claim_certificate_id = %s", fleet.claim_id
    )
    return int(found)


async def test_claim_makes_a_device_gives_it_a_certificate_and_is_counted(people: People) -> None:
    fleet = await make_fleet(people)

    made = await fleet.ask("SN-1")

    assert isinstance(made, Enrolled)
    assert [one.device_id for one in fleet.ca.signed] == [made.device_id]
    query = "SELECT device_id, name FROM devices WHERE tenant_id = %s"
    assert people.rows(query, fleet.tenant) == [(made.device_id, "SN-1")]
    assert fleet.states() == {"SN-1": "enrolled"}
    assert uses(fleet) == 1
    assert people.acts(fleet.tenant)[-2:] == ["device.create", "device.enrol"]
    assert people.told(fleet.tenant, "pulse.events.device.created")


async def test_answer_that_was_lost_is_given_again_to_the_same_key_alone(people: People) -> None:
    fleet, key = await make_fleet(people), new_key()
    first = await fleet.ask("SN-1", key)

    again = await fleet.ask("SN-1", key)
    with pytest.raises(Conflict, match="enrolled"):
        await fleet.ask("SN-1")  # whoever cloned the claim certificate
    people.pass_time(hours=25)
    with pytest.raises(Conflict):
        await fleet.ask("SN-1", key)

    assert isinstance(first, Enrolled)
    assert isinstance(again, Enrolled)
    assert first.device_id == again.device_id
    assert people.count("devices", fleet.tenant) == 1
    query = "SELECT count(*) FROM audit_log WHERE tenant_id = %s AND outcome = 'denied' AND object_id = 'SN-1'"
    assert people.rows(query, fleet.tenant) == [(2,)]


async def test_device_that_was_cut_off_does_not_come_back_by_asking_again(people: People) -> None:
    fleet, key = await make_fleet(people), new_key()
    made = await fleet.ask("SN-1", key)
    assert isinstance(made, Enrolled)
    people.superuser.execute(
        "INSERT INTO issuers (issuer_id, kind, status, subject, certificate_der, fingerprint_sha256, not_before,"
        " not_after) VALUES (gen_random_uuid(), 'issuing', 'standby', 'CA', '', sha256(gen_random_uuid()::text::bytea),"
        " now(), now())"
    )
    people.superuser.execute(
        "INSERT INTO certificates (tenant_id, certificate_id, device_id, issuer_id, serial_number, fingerprint_sha256,"
        " public_key_sha256, certificate_der, not_before, not_after, status, revoked_at, revocation_reason)"
        " SELECT %s, gen_random_uuid(), %s, issuer_id, '0a', sha256(gen_random_uuid()::text::bytea), sha256(''), '',"
        " now(), now(), 'revoked', %s, 'keyCompromise' FROM issuers LIMIT 1",
        [fleet.tenant, made.device_id, people.now],
    )

    with pytest.raises(Conflict, match="cut off"):
        await fleet.ask("SN-1", key)


async def test_two_at_the_last_place_get_one_place(people: People) -> None:
    fleet = await make_fleet(people, most_devices=3)

    answers = await asyncio.gather(
        *(fleet.ask(f"SN-{n}") for n in range(8)), return_exceptions=True
    )

    assert sum(isinstance(one, Enrolled) for one in answers) == 3
    assert sum(isinstance(one, Conflict) for one in answers) == 5
    assert people.count("devices", fleet.tenant) == 3


async def test_one_hardware_id_at_once_is_one_device(people: People) -> None:
    fleet, key = await make_fleet(people), new_key()

    answers = await asyncio.gather(*(fleet.ask("SN-1", key) for _ in range(5)))

    assert len({one.device_id for one in answers if isinstance(one, Enrolled)}) == 1
    assert people.count("devices", fleet.tenant) == 1


async def test_quota_of_an_hour_begins_anew_with_the_next(people: People) -> None:
    fleet = await make_fleet(people, most_per_hour=1)
    await fleet.ask("SN-1")

    with pytest.raises(TooMany):
        await fleet.ask("SN-2")
    people.pass_time(hours=1)

    assert isinstance(await fleet.ask("SN-2"), Enrolled)


@pytest.mark.parametrize(
    "tenant", [{"devices": 0}, {"access": "no_new_devices"}, {"access": "read_only"}]
)
async def test_plan_holds_for_claims_as_for_tokens(people: People, tenant: dict[str, Any]) -> None:
    fleet = await make_fleet(people)
    people.superuser.execute(
        "UPDATE billing_entitlements SET devices = %s, access = %s WHERE tenant_id = %s",
        [tenant.get("devices"), tenant.get("access", "full"), fleet.tenant],
    )

    with pytest.raises(LimitReached):
        await fleet.ask("SN-1")

    assert people.count("devices", fleet.tenant) == 0
    [(devices,)] = people.rows(
        "SELECT devices FROM enrolment_profiles WHERE tenant_id = %s", fleet.tenant
    )
    assert devices == 0


async def test_ca_that_is_away_costs_no_place_and_the_same_key_goes_on(people: People) -> None:
    fleet, key = await make_fleet(people, most_devices=1), new_key()
    fleet.ca.refusal = Unavailable("away")
    with pytest.raises(Unavailable):
        await fleet.ask("SN-1", key)
    fleet.ca.refusal = None

    made = await fleet.ask("SN-1", key)

    assert isinstance(made, Enrolled)
    assert people.count("devices", fleet.tenant) == 1


async def test_claim_that_is_revoked_or_expired_or_unknown_or_closed_lets_nobody_in(
    people: People,
) -> None:
    revoked, expired, closed = [await make_fleet(people) for _ in range(3)]
    await revoke(revoked)
    people.superuser.execute(
        "UPDATE enrolment_profiles SET status = 'closed' WHERE tenant_id = %s", [closed.tenant]
    )
    stranger = ByClaim(TenantId(revoked.tenant), b"\0" * 32, "SN-1")
    of_another = ByClaim(TenantId(closed.tenant), expired.shown_claim("x").fingerprint, "SN-1")

    with pytest.raises(Forbidden):
        await closed.ask("SN-1")
    for shown in (revoked.shown_claim("SN-1"), stranger, of_another):
        with pytest.raises(Unauthenticated):
            await revoked.enrolling.enrol(shown, make_csr(new_key()), CALLER)
    people.pass_time(days=31)
    with pytest.raises(Unauthenticated):
        await expired.ask("SN-1")

    assert not revoked.ca.signed


async def test_held_device_comes_back_until_somebody_approves_it(people: People) -> None:
    fleet, key = await make_fleet(people, approval="hold"), new_key()

    held = await fleet.ask("SN-1", key)
    people.pass_time(minutes=2)
    later = await fleet.ask("SN-1", key)
    with pytest.raises(Conflict, match="another key"):
        await fleet.ask("SN-1")
    assert people.count("devices", fleet.tenant) == 0
    approved = await fleet.decide("approve", "SN-1")
    with pytest.raises(Conflict, match="another key"):
        await fleet.ask("SN-1")
    made = await fleet.ask("SN-1", key)

    assert held == Held(5)
    assert later == Held(120)
    assert approved == 1
    assert isinstance(made, Enrolled)
    assert "hardware.approve" in people.acts(fleet.tenant)


async def test_rejected_device_stays_out_until_it_is_forgotten(people: People) -> None:
    fleet, key = await make_fleet(people, approval="hold"), new_key()
    await fleet.ask("SN-1", key)
    await fleet.decide("reject", "SN-1")

    with pytest.raises(Forbidden, match="rejected"):
        await fleet.ask("SN-1", key)
    await fleet.decide("forget", "SN-1")

    assert isinstance(await fleet.ask("SN-1", key), Held)


async def test_known_fleet_takes_only_hardware_that_was_registered(people: People) -> None:
    fleet = await make_fleet(people, known_only=True)
    await fleet.register(calls.Hardware(hardware_id="SN-1", name="Meter, hall B"))

    made = await fleet.ask("SN-1")
    with pytest.raises(Forbidden, match="not registered"):
        await fleet.ask("SN-2")

    assert isinstance(made, Enrolled)
    query = "SELECT name FROM devices WHERE tenant_id = %s"
    assert people.rows(query, fleet.tenant) == [("Meter, hall B",)]


async def test_hardware_of_another_fleet_is_not_claimed(people: People) -> None:
    first = await make_fleet(people)
    second = await make_fleet(people, tenant=first.tenant, label="pumps")
    await first.ask("SN-1")

    with pytest.raises(Conflict, match="another fleet"):
        await second.ask("SN-1")


async def test_tenants_may_know_the_same_hardware_id_and_share_nothing(people: People) -> None:
    fleets = [await make_fleet(people) for _ in range(2)]

    for fleet in fleets:
        await fleet.ask("SN-1")

    assert [people.count("devices", fleet.tenant) for fleet in fleets] == [1, 1]
    with pytest.raises(NotFound):
        asked = calls.RevokeClaimCertificateRequest(
            access_token=fleets[0].token, claim_certificate_id=_claim_of(fleets[1])
        )
        await fleets[0].credentials.revoke_claim(asked)


def _claim_of(fleet: Fleet) -> UUID:
    assert fleet.claim_id is not None
    return fleet.claim_id


@pytest.mark.parametrize("hardware_id", ["", "a b", "-a", "a\n", "é", "a" * 65, "../a", "=1+1"])
async def test_hardware_id_is_plain(people: People, hardware_id: str) -> None:
    fleet = await make_fleet(people)

    with pytest.raises(Malformed):
        await fleet.ask(hardware_id)


@pytest.mark.parametrize(
    ("wishes", "refusal"),
    [
        ({"name": ""}, Malformed),
        ({"most_devices": 0}, Malformed),
        ({"label": "Not.a.label"}, Malformed),
        ({"device_profile_id": "00000000-0000-4000-8000-000000000000"}, NotFound),
    ],
)
async def test_bad_wishes_for_a_fleet_are_refused(
    people: People, wishes: dict[str, Any], refusal: type[AppError]
) -> None:
    with pytest.raises(refusal):
        await make_fleet(people, **wishes)


async def test_request_that_its_key_did_not_sign_goes_nowhere(people: People) -> None:
    fleet = await make_fleet(people)
    csr = make_csr(new_key())
    at = len(csr) - 45
    forged = csr[:at] + ("A" if csr[at] != "A" else "B") + csr[at + 1 :]

    with pytest.raises(Malformed):
        await fleet.enrolling.enrol(fleet.shown_claim("SN-1"), forged, CALLER)

    assert fleet.states() == {}
