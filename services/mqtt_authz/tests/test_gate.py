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
    set_issuers,
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
        "client_attrs": {
            "tenant": str(enrolled.tenant),
            "device": str(enrolled.device),
            "serial": enrolled.serial_number,
        },
        "expire_at": int(enrolled.not_after.timestamp()),
        "acl": [
            publish("telemetry", retain=False),
            publish("state", retain="all"),
            publish("command/ack", retain=False),
            publish("cert/renew", retain=False),
            subscribe("command"),
            subscribe("cert/issued"),
            subscribe("limits"),
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
        "tenant/+/device/+/cert/renew",
        "tenant/+/device/+/cert/issued",
        "tenant/+/device/+/command",
        "tenant/+/device/+/limits",
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


@pytest.mark.parametrize(
    ("status", "result"),
    [("revoked", "deny"), ("retired", "deny"), ("draining", "allow"), ("standby", "allow")],
)
async def test_certificate_counts_only_as_long_as_its_issuer(
    broker: Broker, enrol: Enrol, superuser: psycopg.Connection, status: str, result: str
) -> None:
    enrolled = enrol()
    set_issuers(superuser, status)
    try:
        answer = await broker.ask("mqtt-auth", body_for(enrolled))
    finally:
        set_issuers(superuser, "active")

    assert answer["result"] == result


async def test_certificate_on_hold_is_refused_until_it_is_released(
    broker: Broker, enrol: Enrol, superuser: psycopg.Connection
) -> None:
    enrolled = enrol()
    hold = (
        "UPDATE certificates SET status = 'held', revoked_at = now(), revocation_reason = 'certificateHold'"
        " WHERE device_id = %s"
    )
    release = (
        "UPDATE certificates SET status = 'valid', revoked_at = NULL, revocation_reason = NULL"
        " WHERE device_id = %s"
    )

    superuser.execute(hold, [enrolled.device])
    held = await broker.ask("mqtt-auth", body_for(enrolled))
    superuser.execute(release, [enrolled.device])
    released = await broker.ask("mqtt-auth", body_for(enrolled))

    assert (held["result"], released["result"]) == ("deny", "allow")


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
