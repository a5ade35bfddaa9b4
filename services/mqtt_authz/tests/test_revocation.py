"""Revoked means silent: the order of the calls, every failure on the way, and the record that it was done."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import REGISTRY
from services.mqtt_authz.tests.revocation_world import ORDER, Heard, World

from pulse_common import events
from pulse_common.messaging import Done, Later, Never

if TYPE_CHECKING:
    import psycopg
    from services.mqtt_authz.tests.conftest import Enrol

pytestmark = pytest.mark.anyio


def silences() -> float:
    return REGISTRY.get_sample_value("pulse_mqtt_revocation_to_silence_seconds_count") or 0.0


async def test_revocation_silences_the_device_in_order_and_records_it(
    world: World, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    before = silences()

    outcome = await world.hear(world.revoke(enrolled))

    assert outcome == Done()
    assert world.broker.calls == ORDER
    assert world.broker.held == set()
    assert world.broker.retained == set()
    assert world.broker.banned == {enrolled.device}
    assert world.broker.wills_published == []
    assert world.cut_at(enrolled) is not None
    assert world.audited(enrolled) == ["session.cut"]
    (told,) = world.told(enrolled)
    assert told["device_id"] == str(enrolled.device)
    assert told["certificate_id"] == str(enrolled.certificate)
    assert 0 <= told["seconds"] < 30
    assert silences() == before + 1


@pytest.mark.parametrize("step", range(len(ORDER)), ids=ORDER)
async def test_failure_in_the_middle_records_nothing_and_is_repeated_from_the_start(
    world: World, enrol: Enrol, step: int
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    world.broker.failing = {ORDER[step]: 1}
    event = world.revoke(enrolled)

    failed = await world.hear(event)

    assert failed == Later(0.2, f"{ORDER[step]} failed")
    assert world.broker.calls == ORDER[: step + 1]
    assert world.cut_at(enrolled) is None
    assert (world.told(enrolled), world.audited(enrolled)) == ([], [])

    again = await world.hear(event, deliveries=2)

    assert again == Done()
    assert world.broker.calls == ORDER
    assert world.cut_at(enrolled) is not None
    assert world.broker.wills_published == []
    assert len(world.told(enrolled)) == 1


async def test_session_that_survives_the_kick_is_not_confirmed(world: World, enrol: Enrol) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    world.broker.stubborn = 1
    event = world.revoke(enrolled)

    outcome = await world.hear(event)

    assert isinstance(outcome, Later)
    assert world.cut_at(enrolled) is None
    assert await world.hear(event, deliveries=2) == Done()
    assert world.broker.held == set()


async def test_redelivery_after_the_confirmation_does_nothing(world: World, enrol: Enrol) -> None:
    enrolled = enrol()
    event = world.revoke(enrolled)
    await world.hear(event)

    assert await world.hear(event, deliveries=2) == Done()

    assert world.broker.calls == []
    assert len(world.told(enrolled)) == 1


async def test_device_that_was_never_connected_is_cut_all_the_same(
    world: World, enrol: Enrol
) -> None:
    enrolled = enrol()

    assert await world.hear(world.revoke(enrolled)) == Done()

    assert world.broker.calls == ORDER
    assert world.cut_at(enrolled) is not None


async def test_back_off_grows_and_stays_short(world: World, enrol: Enrol) -> None:
    event = world.revoke(enrol())
    world.broker.failing = {"ban": 9}

    delays = []
    for deliveries in (1, 2, 3, 6, 1000, 10**9):
        outcome = await world.hear(event, deliveries=deliveries)
        assert isinstance(outcome, Later)
        delays.append(outcome.seconds)

    assert delays == [0.2, 0.4, 0.8, 5.0, 5.0, 5.0]


async def test_disabling_cuts_the_session_and_marks_its_certificates(
    world: World, enrol: Enrol
) -> None:
    enrolled = enrol()
    world.broker.connect(enrolled)
    event = world.disable(enrolled)

    assert await world.hear(event) == Done()
    assert world.broker.calls == ORDER
    assert world.broker.banned == {enrolled.device}
    assert world.cut_at(enrolled) >= event.at
    assert [told["certificate_id"] for told in world.told(enrolled)] == [None]

    assert await world.hear(event, deliveries=2) == Done()
    assert world.broker.calls == []


async def test_revocation_after_an_earlier_cut_of_the_device_cuts_again(
    world: World, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    await world.hear(world.disable(enrolled))
    superuser.execute(
        "UPDATE devices SET status = 'active' WHERE device_id = %s", [enrolled.device]
    )

    assert await world.hear(world.revoke(enrolled)) == Done()

    assert world.broker.calls == ORDER


async def test_enrolling_again_lifts_the_ban(world: World, enrol: Enrol) -> None:
    first = enrol()
    await world.hear(world.revoke(first))
    second = enrol(first.tenant, first.device)

    assert await world.hear(world.enrolled_event(second)) == Done()

    assert world.broker.banned == set()
    assert world.audited(first) == ["session.cut", "device.readmit"]


async def test_enrolment_that_is_revoked_already_lifts_nothing(world: World, enrol: Enrol) -> None:
    first = enrol()
    await world.hear(world.revoke(first))
    second = enrol(first.tenant, first.device)
    late = world.enrolled_event(second)
    await world.hear(world.revoke(second))

    assert await world.hear(late) == Done()

    assert world.broker.calls == []
    assert world.broker.banned == {first.device}


async def test_late_revocation_of_the_old_certificate_does_not_lock_the_new_one_out(
    world: World, enrol: Enrol
) -> None:
    first = enrol()
    revoked = world.revoke(first)
    second = enrol(first.tenant, first.device)
    await world.hear(world.enrolled_event(second))

    assert await world.hear(revoked) == Done()

    assert world.broker.calls == [*ORDER, "unban"]
    assert world.broker.banned == set()


async def test_event_of_another_tenant_touches_nothing(world: World, enrol: Enrol) -> None:
    enrolled, other = enrol(), enrol()
    event = world.revoke(enrolled).model_copy(update={"tenant_id": other.tenant})

    assert await world.hear(event) == Done()

    assert world.broker.calls == []
    assert world.cut_at(enrolled) is None


async def test_event_of_a_valid_certificate_cuts_nobody(world: World, enrol: Enrol) -> None:
    enrolled, revoked = enrol(), enrol()
    event = world.revoke(revoked).model_copy(
        update={
            "tenant_id": enrolled.tenant,
            "device_id": enrolled.device,
            "certificate_id": enrolled.certificate,
        }
    )

    assert await world.hear(event) == Done()

    assert world.broker.calls == []


async def test_two_replicas_never_work_on_one_device_at_once(
    world: World, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    event = world.revoke(enrolled)
    with superuser.transaction():
        superuser.execute(
            "SELECT pg_advisory_xact_lock(hashtextextended('pulse.broker_session.' || %s::text, 0))",
            [enrolled.device],
        )
        waiting = await world.hear(event)

    assert isinstance(waiting, Later)
    assert world.broker.calls == []
    assert await world.hear(event) == Done()


@pytest.mark.parametrize(
    ("subject", "data"),
    [
        (events.CertificateRevoked.subject, b"{}"),
        (events.CertificateRevoked.subject, b"not json"),
        (events.CertificateRevoked.subject, b"[" * 100_000),
        ("pulse.events.device.created", b"{}"),
    ],
)
async def test_message_that_is_no_event_of_ours_is_parked(
    world: World, subject: str, data: bytes
) -> None:
    assert isinstance(await world.worker.handle(Heard(None, 1, subject, data)), Never)
