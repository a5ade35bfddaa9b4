"""The dry run says what the gate would say, and by which rule; it changes nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from services.mqtt_authz.tests.conftest import body_for

from mqtt_authz.dry_run import DryRun
from pulse_common import events
from pulse_common.clock import system_clock
from pulse_common.errors import NotFound

if TYPE_CHECKING:
    import psycopg
    from services.mqtt_authz.tests.conftest import Broker, Enrol, Enrolled, Mint

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
def dry_run(database: Database) -> DryRun:
    return DryRun(database=database, clock=system_clock)


def about(enrolled: Enrolled, **values: Any) -> events.DryRunRequest:  # noqa: ANN401 -- the request's own fields
    named: dict[str, Any] = {
        "tenant_id": enrolled.tenant,
        "device_id": enrolled.device,
        "action": "connect",
    }
    return events.DryRunRequest(**(named | values))


async def test_device_that_may_connect_is_told_by_which_certificate(
    dry_run: DryRun, enrol: Enrol
) -> None:
    enrolled = enrol()

    reply = await dry_run.answer(about(enrolled))

    assert reply == events.DryRunReply(
        allowed=True,
        reason="allowed",
        rule=None,
        serial_number=enrolled.serial_number,
        credential="certificate",
    )


@pytest.mark.parametrize(
    ("act", "leaf", "reason", "rule"),
    [
        ("publish", "telemetry", "allowed", "allow publish {}/telemetry"),
        ("retain", "state", "allowed", "allow publish {}/state (may be retained)"),
        ("retain", "telemetry", "retain_not_allowed", "allow publish {}/telemetry"),
        ("subscribe", "command", "allowed", "allow subscribe {}/command"),
        ("publish", "command", "topic_not_allowed", "deny all #"),
        ("subscribe", "+", "topic_not_allowed", "deny all #"),
        ("publish", "+", "bad_topic", None),
    ],
)
async def test_rule_that_decides_is_named(
    dry_run: DryRun, enrol: Enrol, act: str, leaf: str, reason: str, rule: str | None
) -> None:
    enrolled = enrol()
    tree = f"tenant/{enrolled.tenant}/device/{enrolled.device}"
    action = "publish" if act == "retain" else act
    asked = about(enrolled, action=action, topic=f"{tree}/{leaf}", retain=act == "retain", qos=1)

    reply = await dry_run.answer(asked)

    assert reply.reason == reason
    assert reply.allowed == (reason == "allowed")
    assert reply.rule == (rule.format(tree) if rule else None)


@pytest.mark.parametrize(
    ("days", "reason"),
    [(-1, "certificate_not_yet_valid"), (0, "allowed"), (91, "certificate_expired")],
)
async def test_another_time_may_be_asked_about(
    dry_run: DryRun, enrol: Enrol, days: int, reason: str
) -> None:
    enrolled = enrol()

    reply = await dry_run.answer(about(enrolled, at=system_clock() + timedelta(days=days)))

    assert reply.reason == reason


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("UPDATE devices SET status = 'disabled' WHERE device_id = %s", "device_disabled"),
        (
            (
                "UPDATE certificates SET status = 'revoked', revoked_at = now(),"
                " revocation_reason = 'superseded' WHERE device_id = %s"
            ),
            "certificate_revoked",
        ),
        ("DELETE FROM certificates WHERE device_id = %s", "no_certificate"),
    ],
)
async def test_dry_run_and_gate_agree(
    dry_run: DryRun,
    broker: Broker,
    enrol: Enrol,
    superuser: psycopg.Connection,
    statement: str,
    reason: str,
) -> None:
    enrolled = enrol()
    superuser.execute(statement.encode(), [enrolled.device])
    asked = about(enrolled, action="publish", topic="x")

    reply = await dry_run.answer(asked)
    answer = await broker.ask("mqtt-auth", body_for(enrolled))

    assert (reply.allowed, reply.reason) == (False, reason)
    assert answer["result"] == "deny"


async def test_token_is_judged_when_it_is_what_lets_the_device_in(
    dry_run: DryRun, mint: Mint
) -> None:
    held = mint()
    tree = f"tenant/{held.tenant}/device/{held.device}"
    named: dict[str, Any] = {"tenant_id": held.tenant, "device_id": held.device}

    connects = await dry_run.answer(events.DryRunRequest(**named, action="connect"))
    renews = await dry_run.answer(
        events.DryRunRequest(**named, action="publish", topic=f"{tree}/cert/renew")
    )
    by_certificate = await dry_run.answer(
        events.DryRunRequest(**named, action="connect", credential="certificate")
    )
    later = await dry_run.answer(
        events.DryRunRequest(**named, action="connect", at=system_clock() + timedelta(days=2))
    )

    assert (connects.allowed, connects.credential) == (True, "token")
    assert connects.serial_number == str(held.token)
    assert (renews.reason, renews.rule) == ("topic_not_allowed", "deny all #")
    assert (by_certificate.reason, by_certificate.credential) == ("no_certificate", "certificate")
    assert (later.reason, later.credential) == ("token_expired", "token")


async def test_certificate_goes_before_a_token_unless_only_the_token_lets_in(
    dry_run: DryRun, mint: Mint, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    held = mint()
    enrolled = enrol(held.tenant, held.device)

    both = await dry_run.answer(about(enrolled))
    superuser.execute(
        "UPDATE certificates SET status = 'revoked', revoked_at = now(), revocation_reason = 'superseded'"
        " WHERE device_id = %s",
        [held.device],
    )
    token_alone = await dry_run.answer(about(enrolled))
    superuser.execute(
        "UPDATE devices SET tokens_allowed = false WHERE device_id = %s", [held.device]
    )
    neither = await dry_run.answer(about(enrolled))
    token = await dry_run.answer(about(enrolled, credential="token"))

    assert (both.allowed, both.credential) == (True, "certificate")
    assert (token_alone.allowed, token_alone.credential) == (True, "token")
    assert (neither.reason, neither.credential) == ("certificate_revoked", "certificate")
    assert (token.reason, token.credential) == ("tokens_not_allowed", "token")


async def test_device_without_a_token_is_told_so(dry_run: DryRun, enrol: Enrol) -> None:
    assert (await dry_run.answer(about(enrol(), credential="token"))).reason == "no_token"


async def test_certificate_that_counts_goes_before_a_longer_one_that_does_not(
    dry_run: DryRun, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    good = enrol()
    bad = enrol(good.tenant, good.device)
    superuser.execute(
        "UPDATE certificates SET status = 'revoked', revoked_at = now(), revocation_reason = 'superseded',"
        " not_after = not_after + interval '1 day' WHERE certificate_id = %s",
        [bad.certificate],
    )

    reply = await dry_run.answer(about(good))

    assert (reply.allowed, reply.serial_number) == (True, good.serial_number)


async def test_device_of_another_tenant_does_not_exist(dry_run: DryRun, enrol: Enrol) -> None:
    ours, theirs = enrol(), enrol()

    with pytest.raises(NotFound):
        await dry_run.answer(about(ours, device_id=theirs.device))
    with pytest.raises(NotFound):
        await dry_run.answer(about(ours, device_id=uuid4()))
