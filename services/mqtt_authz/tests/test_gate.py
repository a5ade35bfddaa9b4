"""The broker's questions against the real database: replayed from a real EMQX, and with everything gone wrong."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest
from services.mqtt_authz.tests.conftest import (
    ADMIN_PASSWORD,
    SHARED,
    Broker,
    Enrol,
    Names,
    body_for,
    counted,
    issue,
)

if TYPE_CHECKING:
    import psycopg


pytestmark = pytest.mark.anyio

RECORDINGS = SHARED / "contracts" / "emqx-5.8.9"
FUZZ = SHARED / "corpora" / "fuzz-strings"


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
        (
            (
                "UPDATE issuers SET status = 'revoked' WHERE issuer_id ="
                " (SELECT issuer_id FROM certificates WHERE device_id = %(device)s)"
            ),
            "issuer_not_trusted",
        ),
        (
            (
                "UPDATE issuers SET status = 'retired' WHERE issuer_id ="
                " (SELECT issuer_id FROM certificates WHERE device_id = %(device)s)"
            ),
            "issuer_not_trusted",
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

    superuser.execute("UPDATE issuers SET status = 'active'")  # the session's other tests use it
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


async def test_unknown_fields_are_ignored(broker: Broker, enrol: Enrol) -> None:
    body = body_for(enrol(), listener="${listener}", fixed="abc", attr_missing="")

    assert (await broker.ask("mqtt-auth", body))["result"] == "allow"
