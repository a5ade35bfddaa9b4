"""Whatever is sent and whatever is broken, the gate answers 200 and an explicit deny (hazard 1)."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import uuid4

import httpx2
import pytest
from services.mqtt_authz.tests.conftest import (
    SHARED,
    Broker,
    Enrol,
    Enrolled,
    Names,
    body_for,
    build_gate,
    counted,
    issue,
    make_gate,
)

from mqtt_authz import handlers
from pulse_common.clock import system_clock
from pulse_common.errors import Unavailable
from pulse_common.identity import TenantId

if TYPE_CHECKING:
    from pulse_common.tenancy import Database

pytestmark = pytest.mark.anyio

FUZZ = SHARED / "corpora" / "fuzz-strings"

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
    gate = make_gate(broken)
    transport = httpx2.ASGITransport(build_gate(gate))
    async with httpx2.AsyncClient(transport=transport, base_url="http://gate") as client:
        answer = await Broker(client, gate).ask("mqtt-auth", body_for(stranger))

    assert answer == {"result": "deny"}
    assert counted("mqtt-auth", reason) == before + 1


async def test_database_that_is_really_down_lets_nobody_in(
    database: Database, broker: Broker, enrol: Enrol
) -> None:
    enrolled = enrol()
    await database.close()

    assert await broker.ask("mqtt-auth", body_for(enrolled)) == {"result": "deny"}
