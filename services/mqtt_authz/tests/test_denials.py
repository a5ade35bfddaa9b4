"""Refusals are kept for whom they concern: sampled, bounded, and never at the cost of an answer."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import pytest
from services.mqtt_authz.tests.conftest import Broker, body_for

from mqtt_authz import denials as module
from mqtt_authz.denials import MINUTE_SECONDS, MOST_KINDS, Denial, Denials
from mqtt_authz.reasons import Reason
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable

if TYPE_CHECKING:
    import psycopg
    from services.mqtt_authz.tests.conftest import Enrol, Enrolled

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio


class Notebook:
    def __init__(self, database: Database, superuser: psycopg.Connection) -> None:
        self.now = 0.0
        self.sql = superuser
        self.denials = Denials(database=database, clock=system_clock, monotonic=lambda: self.now)

    def rows(self, enrolled: Enrolled) -> list[tuple[Any, ...]]:
        return self.sql.execute(
            "SELECT action, reason, topic, times FROM broker_denials"
            " WHERE tenant_id = %s AND device_id = %s ORDER BY at",
            [enrolled.tenant, enrolled.device],
        ).fetchall()


@pytest.fixture
def notebook(database: Database, superuser: psycopg.Connection) -> Notebook:
    return Notebook(database, superuser)


def denial(enrolled: Enrolled, topic: str = "a") -> Denial:
    return Denial(
        tenant=enrolled.tenant,
        device=enrolled.device,
        action="publish",
        reason=Reason.TOPIC_NOT_ALLOWED,
        topic=topic,
    )


async def test_equal_refusals_of_a_minute_are_one_row_and_a_count(
    notebook: Notebook, enrol: Enrol
) -> None:
    enrolled = enrol()
    for _ in range(100):
        notebook.denials.note(denial(enrolled))
    await notebook.denials.flush()
    first = notebook.rows(enrolled)
    notebook.now += MINUTE_SECONDS
    await notebook.denials.flush()

    assert first == [("publish", "topic_not_allowed", "a", 1)]
    assert [row[3] for row in notebook.rows(enrolled)] == [1, 99]


async def test_device_that_invents_topics_fills_few_rows(notebook: Notebook, enrol: Enrol) -> None:
    noisy, quiet = enrol(), enrol()
    for number in range(1000):
        notebook.denials.note(denial(noisy, f"topic/{number}"))
    notebook.denials.note(denial(quiet))
    await notebook.denials.flush()

    assert len(notebook.rows(noisy)) == MOST_KINDS
    assert len(notebook.rows(quiet)) == 1


async def test_device_that_does_not_exist_takes_nobody_elses_row_along(
    notebook: Notebook, enrol: Enrol
) -> None:
    enrolled = enrol()
    notebook.denials.note(
        Denial(tenant=uuid4(), device=uuid4(), action="connect", reason=Reason.CERTIFICATE_UNKNOWN)
    )
    notebook.denials.note(denial(enrolled, topic="x" * 5000))
    await notebook.denials.flush()

    assert len(notebook.rows(enrolled)) == 1


async def test_device_of_one_tenant_is_never_written_into_another(
    notebook: Notebook, enrol: Enrol
) -> None:
    ours, theirs = enrol(), enrol()
    crossed = Denial(
        tenant=ours.tenant, device=theirs.device, action="connect", reason=Reason.BAD_CERTIFICATE
    )
    notebook.denials.note(crossed)
    await notebook.denials.flush()

    count = notebook.sql.execute(
        "SELECT count(*) FROM broker_denials WHERE device_id = %s", [theirs.device]
    ).fetchone()
    assert count == (0,)


async def test_memory_is_bounded_while_the_database_is_away(
    notebook: Notebook, enrol: Enrol, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PENDING", 20)
    monkeypatch.setattr(module, "MOST_DEVICES", 50)
    enrolled = enrol()
    for number in range(200):
        other = Denial(
            tenant=enrolled.tenant, device=uuid4(), action="connect", reason=Reason.DEVICE_DISABLED
        )
        notebook.denials.note(other)
        notebook.denials.note(denial(enrolled, str(number)))
    await database.close()

    with pytest.raises(Unavailable):
        await notebook.denials.flush()
    assert len(notebook.denials._pending) == 20
    assert len(notebook.denials._minutes) <= 50


async def test_old_refusals_are_deleted(notebook: Notebook, enrol: Enrol) -> None:
    enrolled = enrol()
    notebook.denials.note(denial(enrolled, "new"))
    await notebook.denials.flush()
    notebook.sql.execute(
        "INSERT INTO broker_denials (tenant_id, denial_id, device_id, at, action, reason, times)"
        " VALUES (%s, %s, %s, %s, 'connect', 'device_disabled', 1)",
        [
            *(enrolled.tenant, uuid4(), enrolled.device),
            system_clock() - timedelta(days=module.KEEP_DAYS, minutes=1),
        ],
    )

    await notebook.denials.forget_old()

    assert [row[2] for row in notebook.rows(enrolled)] == ["new"]


async def test_refused_connect_and_act_are_kept_with_reason_rule_topic_and_serial(
    broker: Broker, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    superuser.execute(
        "UPDATE devices SET status = 'disabled' WHERE device_id = %s", [enrolled.device]
    )
    await broker.ask("mqtt-auth", body_for(enrolled, peerhost="198.51.100.7"))
    act = {
        "clientid": str(enrolled.device),
        "tenant": str(enrolled.tenant),
        "action": "subscribe",
        "topic": "$SYS/#",
        "qos": "1",
        "retain": "false",
    }
    await broker.ask("mqtt-acl", act)
    await broker.gate.denials.flush()

    rows = superuser.execute(
        "SELECT action, reason, rule, topic, serial_number IS NOT NULL, address FROM broker_denials"
        " WHERE device_id = %s ORDER BY at",
        [enrolled.device],
    ).fetchall()
    assert rows == [
        ("connect", "device_disabled", None, None, True, "198.51.100.7"),
        ("subscribe", "system_topic", None, "$SYS/#", False, None),
    ]


async def test_what_the_broker_denied_by_the_list_is_kept_with_the_rule(
    broker: Broker, enrol: Enrol, notebook: Notebook
) -> None:
    enrolled = enrol()
    tree = f"tenant/{enrolled.tenant}/device/{enrolled.device}"
    names = {"clientid": str(enrolled.device), "tenant": str(enrolled.tenant), "qos": "1"}
    for action, topic, retain in (
        ("subscribe", "tenant/+/device/+/command", "false"),
        ("publish", f"{tree}/telemetry", "true"),
        ("publish", f"{tree}/telemetry", "false"),  # the list allows it: not a refusal at all
    ):
        body = names | {"action": action, "topic": topic, "retain": retain}
        await broker.ask("mqtt-denied", body)
    await broker.ask("mqtt-denied", b"{")
    await broker.gate.denials.flush()

    assert [row[:3] for row in notebook.rows(enrolled)] == [
        ("subscribe", "topic_not_allowed", "tenant/+/device/+/command"),
        ("publish", "retain_not_allowed", f"{tree}/telemetry"),
    ]


async def test_no_topic_writes_into_another_tenants_list(
    broker: Broker, enrol: Enrol, notebook: Notebook
) -> None:
    own, other = enrol(), enrol()
    topic = f'x","tenant":"{other.tenant}","clientid":"{other.device}'
    body = (
        f'{{"clientid": "{own.device}", "tenant": "{own.tenant}", "action": "publish",'
        f' "topic": "{topic}", "qos": "0", "retain": "false"}}'
    )

    assert (await broker.ask("mqtt-denied", body.encode()))["result"] == "deny"
    assert (await broker.ask("mqtt-acl", body.encode()))["result"] == "deny"
    await broker.gate.denials.flush()

    assert notebook.rows(other) == []


async def test_nobody_without_a_certificate_writes_into_a_tenants_refusals(
    broker: Broker, enrol: Enrol
) -> None:
    await broker.ask("mqtt-auth", body_for(enrol(), cert_pem=""))

    assert await broker.gate.denials.flush() == 0
