"""The broker's questions against the real database: replayed from a real EMQX, and with everything gone wrong."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

import httpx2
import pytest
from prometheus_client import REGISTRY
from services.mqtt_authz.tests.conftest import (
    ADMIN_PASSWORD,
    SHARED,
    Broker,
    Enrol,
    Enrolled,
    Names,
    build_gate,
    issue,
)

from mqtt_authz import handlers
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    import psycopg

    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio

RECORDINGS = SHARED / "contracts" / "emqx-5.8.9"
FUZZ = SHARED / "corpora" / "fuzz-strings"


def body_for(enrolled: Enrolled, **changes: str) -> dict[str, str]:
    """An authentication request as EMQX sends it for a device on the mutual TLS listener."""
    return {
        "zone": "mqtts",
        "username": str(enrolled.device),
        "clientid": str(enrolled.device),
        "password": "",
        "peerhost": "127.0.0.1",
        "cert_common_name": str(enrolled.device),
        "cert_subject": f"CN={enrolled.device},O={enrolled.tenant}",
        "cert_pem": base64.b64encode(enrolled.der).decode(),
    } | changes


def counted(question: str, reason: str) -> float:
    labels = {"question": question, "reason": reason}
    return REGISTRY.get_sample_value("pulse_mqtt_decisions_total", labels) or 0.0


def recorded(path: str) -> list[dict[str, str]]:
    """Every body that a real EMQX 5.8.9 posted to one path."""
    if not RECORDINGS.exists():
        pytest.skip(f"no recordings of EMQX at {RECORDINGS}")
    rows = [
        json.loads(line)
        for file in sorted(RECORDINGS.glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    return [row["body_json"] for row in rows if row.get("path") == path and row.get("body_json")]


async def test_enrolled_device_is_let_in_with_its_whole_list(broker: Broker, enrol: Enrol) -> None:
    enrolled = enrol()
    tree = f"tenant/{enrolled.tenant}/device/{enrolled.device}"

    answer = await broker.ask("mqtt-auth", body_for(enrolled))

    def publish(leaf: str, retain: object) -> dict[str, object]:
        topic = f"{tree}/{leaf}"
        return {"permission": "allow", "action": "publish", "topic": topic, "retain": retain}

    def subscribe(leaf: str) -> dict[str, object]:
        return {"permission": "allow", "action": "subscribe", "topic": f"{tree}/{leaf}"}

    assert answer == {
        "result": "allow",
        "is_superuser": False,
        "client_attrs": {"tenant": str(enrolled.tenant), "device": str(enrolled.device)},
        "expire_at": int(enrolled.not_after.timestamp()),
        "acl": [
            publish("telemetry", retain=False),
            publish("state", retain="all"),
            publish("command/ack", retain=False),
            publish("cert/renew", retain=False),
            subscribe("command"),
            subscribe("cert/issued"),
            {"permission": "deny", "action": "all", "topic": "#"},
        ],
    }


async def test_every_recorded_connect_is_judged_by_its_certificate_alone(
    broker: Broker, enrol: Enrol
) -> None:
    enrolled = enrol()
    ours = str(enrolled.device)
    allowed = denied = 0
    for body in recorded("/mqtt/auth"):
        cn = body["cert_common_name"]
        replaced = {name: ours if cn and value == cn else value for name, value in body.items()}
        if body["cert_pem"]:
            replaced["cert_pem"] = base64.b64encode(enrolled.der).decode()

        answer = await broker.ask("mqtt-auth", replaced)

        names_agree = replaced["clientid"] == ours and replaced["username"] in {"", ours}
        expected = bool(body["cert_pem"]) and names_agree
        assert (answer["result"] == "allow") == expected
        allowed, denied = allowed + expected, denied + (not expected)
    assert allowed > 20
    assert denied > 20


async def test_certificates_of_the_recordings_are_strangers(broker: Broker) -> None:
    for body in recorded("/mqtt/auth"):
        assert await broker.ask("mqtt-auth", body) == {"result": "deny"}


async def test_every_recorded_act_outside_the_tree_is_denied(broker: Broker, enrol: Enrol) -> None:
    enrolled = enrol()
    bodies = recorded("/mqtt/acl")
    for body in bodies:
        ours = {"clientid": str(enrolled.device), "tenant": str(enrolled.tenant)}

        assert await broker.ask("mqtt-acl", body | ours) == {"result": "deny"}

        topic = f"tenant/{enrolled.tenant}/device/{enrolled.device}/state"
        answer = await broker.ask("mqtt-acl", body | ours | {"topic": topic})
        assert answer["result"] == ("allow" if body["action"] == "publish" else "deny")
    assert len(bodies) > 200


async def test_service_is_let_in_by_password_and_gets_the_shared_filters(broker: Broker) -> None:
    body = {"clientid": "ingest-1", "username": "svc_ingest_worker", "password": ADMIN_PASSWORD}

    answer = await broker.ask("mqtt-auth", body)

    assert answer["result"] == "allow"
    assert "expire_at" not in answer
    assert [rule["topic"] for rule in answer["acl"]] == [
        "tenant/+/device/+/telemetry",
        "tenant/+/device/+/state",
        "tenant/+/device/+/command/ack",
        "tenant/+/device/+/command",
        "#",
    ]


async def test_password_of_a_service_is_worth_nothing_beside_a_certificate(
    broker: Broker, enrol: Enrol
) -> None:
    body = body_for(enrol(), username="svc_ingest_worker", password=ADMIN_PASSWORD)

    assert await broker.ask("mqtt-auth", body) == {"result": "deny"}


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        (
            """
            UPDATE certificates SET status = 'revoked', revoked_at = now(), revocation_reason = 'keyCompromise'
             WHERE device_id = %(device)s
            """,
            "certificate_revoked",
        ),
        (
            "UPDATE devices SET status = 'disabled' WHERE device_id = %(device)s",
            "device_disabled",
        ),
        (
            "UPDATE tenants SET status = 'suspended' WHERE tenant_id = %(tenant)s",
            "tenant_suspended",
        ),
    ],
)
async def test_refusal_by_the_database_is_counted_by_its_reason(
    broker: Broker, enrol: Enrol, superuser: psycopg.Connection, statement: str, reason: str
) -> None:
    enrolled = enrol()
    superuser.execute(statement.encode(), {"device": enrolled.device, "tenant": enrolled.tenant})
    before = counted("mqtt-auth", reason)

    answer = await broker.ask("mqtt-auth", body_for(enrolled))

    assert answer == {"result": "deny"}
    assert counted("mqtt-auth", reason) == before + 1


async def test_certificate_of_our_names_that_we_never_issued_is_unknown(
    broker: Broker, enrol: Enrol
) -> None:
    enrolled = enrol()
    forged = issue(Names(tenant=enrolled.tenant, device=enrolled.device))
    before = counted("mqtt-auth", "certificate_unknown")

    body = body_for(enrolled, cert_pem=base64.b64encode(forged).decode())

    assert await broker.ask("mqtt-auth", body) == {"result": "deny"}
    assert counted("mqtt-auth", "certificate_unknown") == before + 1


HOSTILE: list[bytes] = [
    b"",
    b"null",
    b"[]",
    b"{}",
    b'"x"',
    b"{",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"clientid":' * 50_000,
    b'{"x":' + b"[" * 60_000 + b"]" * 60_000 + b"}",
    b'{"clientid":"' + b"a" * 1_000_000 + b'"}',
    b'{"clientid":null}',
    b'{"clientid":5}',
    b'{"clientid":["a"]}',
    b'{"clientid":"\\u0000"}',
    b'{"clientid":"\\ud800"}',
    b'{"clientid":NaN}',
    b'{"cert_pem":"!"}',
    b'{"cert_pem":" "}',
    b'{"cert_pem":"="}',
    b'{"cert_pem":"AAAA"}',
    b'{"cert_pem":"\xc3\xa9"}',
    b'{"cert_pem":"-----BEGIN CERTIFICATE-----"}',
    b'{"username":"svc_ingest_worker"}',
    b'{"username":"svc_ingest_worker","password":"\xc3\xa9"}',
    b'{"action":"publish","topic":"a","qos":"3","retain":"false"}',
    b'{"action":"publish","topic":"a","qos":1,"retain":false}',
    b'{"action":"write","topic":"a","qos":"1","retain":"false"}',
]


@pytest.mark.parametrize("question", ["mqtt-auth", "mqtt-acl"])
@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_whatever_comes_is_answered_with_a_deny(
    broker: Broker, question: str, body: bytes
) -> None:
    assert await broker.ask(question, body) == {"result": "deny"}


@pytest.mark.parametrize("question", ["mqtt-auth", "mqtt-acl"])
async def test_json_that_nobody_agrees_on_is_answered_with_a_deny(
    broker: Broker, question: str
) -> None:
    cases = FUZZ / "json_parsing.jsonl"
    if not cases.exists():
        pytest.skip(f"no JSON cases at {cases}")
    for line in cases.read_text().splitlines():
        body = base64.b64decode(json.loads(line)["b64"])

        assert await broker.ask(question, body) == {"result": "deny"}


async def test_naughty_string_in_any_field_is_answered_with_a_deny(
    broker: Broker, enrol: Enrol
) -> None:
    strings = FUZZ / "blns.json"
    if not strings.exists():
        pytest.skip(f"no naughty strings at {strings}")
    enrolled = enrol()
    acl = {
        "clientid": str(enrolled.device),
        "tenant": str(enrolled.tenant),
        "action": "publish",
        "topic": "x",
        "qos": "0",
        "retain": "false",
    }
    for naughty in filter(None, json.loads(strings.read_text())):
        for name in ("clientid", "username", "cert_pem"):
            answer = await broker.ask("mqtt-auth", body_for(enrolled, **{name: naughty}))
            assert answer == {"result": "deny"}
        for name in ("clientid", "tenant", "topic", "action", "qos", "retain"):
            answer = await broker.ask("mqtt-acl", acl | {name: naughty})
            assert answer == {"result": "deny"}


async def test_unknown_fields_are_ignored(broker: Broker, enrol: Enrol) -> None:
    body = body_for(enrol(), listener="${listener}", fixed="abc", attr_missing="")

    assert (await broker.ask("mqtt-auth", body))["result"] == "allow"


class BrokenDatabase:
    """Fails in one way whenever it is asked; without an error to raise, it never answers."""

    def __init__(self, error: Exception | None) -> None:
        self._error = error

    def service_connection(self, _: str) -> BrokenDatabase:
        return self

    async def __aenter__(self) -> NoReturn:
        if self._error is not None:
            raise self._error
        await asyncio.sleep(60)
        raise AssertionError("nobody waits that long")

    async def __aexit__(self, *_: object) -> None:
        raise AssertionError("what never began cannot end")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (Unavailable("the database is away"), "database_away"),
        (RuntimeError("a bug"), "bug"),
        (None, "too_slow"),
    ],
)
async def test_database_in_trouble_lets_nobody_in(
    monkeypatch: pytest.MonkeyPatch, error: Exception | None, reason: str
) -> None:
    monkeypatch.setattr(handlers, "DECISION_SECONDS", 0.1)
    names = Names()
    stranger = Enrolled(
        tenant=TenantId(names.tenant),
        device=names.device,
        certificate=uuid4(),
        der=issue(names),
        not_after=system_clock() + names.ends,
    )
    before = counted("mqtt-auth", reason)
    broken: Any = BrokenDatabase(error)
    transport = httpx2.ASGITransport(build_gate(broken))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
        answer = await Broker(client).ask("mqtt-auth", body_for(stranger))

    assert answer == {"result": "deny"}
    assert counted("mqtt-auth", reason) == before + 1


async def test_database_that_is_really_down_lets_nobody_in(
    database: Database, broker: Broker, enrol: Enrol
) -> None:
    enrolled = enrol()
    await database.close()

    assert await broker.ask("mqtt-auth", body_for(enrolled)) == {"result": "deny"}
