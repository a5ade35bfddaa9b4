"""Registered hardware: its secret or its maker's key lets it in, once, and nothing else does."""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from services.provision_api.tests.fleet.fleets import make_fleet, new_key

from provision_api.enrolment import Enrolled
from provision_api.fleet.enrolling import Held
from pulse_common import events_fleet as calls
from pulse_common.errors import Conflict, Forbidden, Malformed, Unauthenticated

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec
    from services.provision_api.tests.fleet.people import People

pytestmark = pytest.mark.anyio


def fingerprint(key: ec.EllipticCurvePrivateKey) -> str:
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).hexdigest()


async def test_secret_lets_its_own_hardware_in_once(people: People) -> None:
    fleet, key = await make_fleet(people, "hardware"), new_key()
    reply = await fleet.register(
        calls.Hardware(hardware_id="SN-1"), calls.Hardware(hardware_id="SN-2"), secrets=True
    )
    secrets = {one.hardware_id: one.secret for one in reply.secrets}

    made = await fleet.ask_with_secret("SN-1", secrets["SN-1"], key)
    with pytest.raises(Unauthenticated):
        await fleet.ask_with_secret("SN-2", secrets["SN-1"], new_key())
    with pytest.raises(Conflict):
        await fleet.ask_with_secret("SN-1", secrets["SN-1"], new_key())

    assert isinstance(made, Enrolled)
    [(kept,)] = people.rows(
        "SELECT secret_sha256 FROM hardware_ids WHERE tenant_id = %s AND hardware_id = 'SN-1'",
        fleet.tenant,
    )
    assert kept == hashlib.sha256(secrets["SN-1"].encode()).digest()


async def test_secret_is_shown_once_and_not_for_hardware_that_is_known(people: People) -> None:
    fleet = await make_fleet(people, "hardware")
    first = await fleet.register(calls.Hardware(hardware_id="SN-1"), secrets=True)

    again = await fleet.register(calls.Hardware(hardware_id="SN-1"), secrets=True)

    assert (first.registered, again.registered, again.secrets) == (1, 0, [])
    secret = first.secrets[0].secret
    assert isinstance(await fleet.ask_with_secret("SN-1", secret, new_key()), Enrolled)


@pytest.mark.parametrize("secret", ["", "phs_", "pet_AAAA", "phs_" + "A" * 64, "phs_é", "x" * 200])
async def test_every_wrong_secret_gets_one_answer(people: People, secret: str) -> None:
    fleet = await make_fleet(people, "hardware")

    with pytest.raises(Unauthenticated, match="not valid"):
        await fleet.ask_with_secret("SN-1", secret, new_key())


async def test_makers_key_is_the_one_key_that_gets_a_certificate(people: People) -> None:
    fleet, key = await make_fleet(people, "hardware"), new_key()
    item = calls.Hardware(hardware_id="SN-1", maker_key_sha256=fingerprint(key))
    assert (await fleet.register(item, secrets=True)).secrets == []

    with pytest.raises(Unauthenticated):
        await fleet.ask_with_makers_key("SN-1", new_key())
    with pytest.raises(Unauthenticated):
        await fleet.ask_with_makers_key("SN-1", key, label="pumps")
    made = await fleet.ask_with_makers_key("SN-1", key)

    assert isinstance(made, Enrolled)


async def test_claim_does_not_stand_in_for_a_makers_key(people: People) -> None:
    fleet = await make_fleet(people)
    await fleet.register(
        calls.Hardware(hardware_id="SN-1", maker_key_sha256=fingerprint(new_key()))
    )

    with pytest.raises(Conflict, match="maker"):
        await fleet.ask("SN-1")


async def test_hardware_that_proves_itself_may_change_its_key_while_it_waits(
    people: People,
) -> None:
    fleet = await make_fleet(people, "hardware", approval="hold")
    reply = await fleet.register(calls.Hardware(hardware_id="SN-1"), secrets=True)
    secret, key = reply.secrets[0].secret, new_key()

    assert isinstance(await fleet.ask_with_secret("SN-1", secret, new_key()), Held)
    assert isinstance(await fleet.ask_with_secret("SN-1", secret, key), Held)
    await fleet.decide("approve", "SN-1")

    assert isinstance(await fleet.ask_with_secret("SN-1", secret, key), Enrolled)


async def test_registration_needs_a_proof_and_each_id_once(people: People) -> None:
    fleet = await make_fleet(people, "hardware")
    one = calls.Hardware(hardware_id="SN-1")

    with pytest.raises(Malformed, match="proof"):
        await fleet.register(one)
    with pytest.raises(Malformed, match="twice"):
        await fleet.register(one, one, secrets=True)
    with pytest.raises(Malformed, match="64 hexadecimal"):
        await fleet.register(calls.Hardware(hardware_id="SN-1", maker_key_sha256="00"))


async def test_closed_profile_takes_no_hardware(people: People) -> None:
    fleet = await make_fleet(people, "hardware")
    reply = await fleet.register(calls.Hardware(hardware_id="SN-1"), secrets=True)
    people.superuser.execute(
        "UPDATE enrolment_profiles SET status = 'closed' WHERE tenant_id = %s", [fleet.tenant]
    )

    with pytest.raises(Forbidden):
        await fleet.ask_with_secret("SN-1", reply.secrets[0].secret, new_key())


async def test_two_secrets_at_the_last_place_get_one_place(people: People) -> None:
    fleet = await make_fleet(people, "hardware", most_devices=3)
    items = [calls.Hardware(hardware_id=f"SN-{n}") for n in range(8)]
    secrets = (await fleet.register(*items, secrets=True)).secrets

    answers = await asyncio.gather(
        *(fleet.ask_with_secret(one.hardware_id, one.secret, new_key()) for one in secrets),
        return_exceptions=True,
    )

    assert sum(isinstance(one, Enrolled) for one in answers) == 3
    assert people.count("devices", fleet.tenant) == 3
