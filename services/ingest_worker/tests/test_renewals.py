"""A device's request for its next certificate reaches the CA under its own name, and the answer reaches the device."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from tests.parts import PASSWORD

from ingest_worker.domain import Inbound
from ingest_worker.renewals import Renewals
from pulse_common import events, events_rollover
from pulse_common.bus import Bus
from pulse_common.clock import system_clock
from pulse_common.errors import Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.parts import Nats

pytestmark = pytest.mark.anyio

TENANT, DEVICE = uuid4(), uuid4()
TREE = f"tenant/{TENANT}/device/{DEVICE}"


@dataclass
class Line:
    """What was published to devices, and a way to wait for it."""

    sent: asyncio.Queue[tuple[str, bytes]] = field(default_factory=asyncio.Queue)

    async def publish(self, topic: str, payload: bytes) -> None:
        self.sent.put_nowait((topic, payload))

    async def answer(self) -> tuple[str, dict[str, object]]:
        async with asyncio.timeout(5):
            topic, payload = await self.sent.get()
        return topic, json.loads(payload)


@pytest.fixture
async def bus(nats_server: Nats) -> AsyncIterator[Bus]:
    opened = await Bus.connect(
        url=nats_server.url, user="test", password=PASSWORD, service="ingest_worker"
    )
    yield opened
    await opened.close()


def made(bus: Bus) -> tuple[Renewals, Line, list[Inbound]]:
    others: list[Inbound] = []

    async def otherwise(message: Inbound) -> None:
        others.append(message)

    renewals, line = Renewals(bus, otherwise), Line()
    renewals.answer_over(line)
    return renewals, line, others


def inbound(leaf: str, payload: bytes) -> Inbound:
    return Inbound(f"{TREE}/{leaf}", payload, system_clock())


async def test_request_is_signed_for_the_device_of_the_topic(bus: Bus) -> None:
    asked: list[events.RenewRequest] = []

    async def sign(request: events.RenewRequest) -> events.SignReply:
        asked.append(request)
        now = system_clock()
        return events.SignReply(
            certificate_id=UUID(int=1),
            certificate_pem="leaf",
            chain_pem="chain",
            serial_number="2a",
            not_before=now,
            not_after=now,
        )

    await bus.answer(events.RenewRequest, sign)
    renewals, line, others = made(bus)

    await renewals.process(inbound("cert/renew", b'{"csr": "a request"}'))
    topic, answer = await line.answer()

    assert topic == f"{TREE}/cert/issued"
    assert (answer["certificate"], answer["chain"]) == ("leaf", "chain")
    assert [(one.tenant_id, one.device_id, one.csr_pem, one.fingerprint) for one in asked] == [
        (TENANT, DEVICE, "a request", None)
    ]
    assert others == []


async def test_device_says_what_it_trusts_and_hears_what_it_should(bus: Bus) -> None:
    asked: list[events_rollover.TrustRequest] = []

    async def trust(request: events_rollover.TrustRequest) -> events_rollover.TrustReply:
        asked.append(request)
        return events_rollover.TrustReply(authorities_pem="both", renew_in_seconds=3600)

    await bus.answer(events_rollover.TrustRequest, trust)
    renewals, line, _ = made(bus)

    await renewals.process(inbound("cert/renew", b'{"trust": ["' + b"0a" * 32 + b'"]}'))
    topic, answer = await line.answer()

    assert topic == f"{TREE}/cert/issued"
    assert answer == {"trust": {"authorities": "both", "renew_in_seconds": 3600}}
    assert [(one.tenant_id, one.device_id, one.held) for one in asked] == [
        (TENANT, DEVICE, ("0a" * 32,))
    ]


async def test_refusal_reaches_the_device_with_its_code(bus: Bus) -> None:
    async def sign(_: events.RenewRequest) -> events.SignReply:
        raise Conflict("the present certificate does not count: enrol again")

    await bus.answer(events.RenewRequest, sign)
    renewals, line, _ = made(bus)

    await renewals.process(inbound("cert/renew", b'{"csr": "a request"}'))
    _, answer = await line.answer()

    assert answer == {
        "error": {
            "code": "conflict",
            "detail": "the present certificate does not count: enrol again",
        }
    }


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"{}",
        b'{"csr": 1}',
        b'{"csr": ""',
        b"\xff",
        b"[" * 9000,
        b'{"trust": "00"}',
        b'{"trust": ["ABC"]}',
        b'{"csr": "a request", "trust": []}',
        b'{"trust": [' + b",".join([b'"' + b"0" * 64 + b'"'] * 65) + b"]}",
    ],
)
async def test_nonsense_is_refused_without_asking_the_ca(bus: Bus, payload: bytes) -> None:
    renewals, line, _ = made(bus)

    await renewals.process(inbound("cert/renew", payload))
    _, answer = await line.answer()

    assert isinstance(answer["error"], dict)
    assert answer["error"]["code"] == "malformed"


async def test_everything_else_goes_its_usual_way(bus: Bus) -> None:
    renewals, line, others = made(bus)
    telemetry = inbound("telemetry", b"{}")
    stray = Inbound("tenant/x/device/y/cert/renew", b"{}", system_clock())

    await renewals.process(telemetry)
    await renewals.process(stray)

    assert others == [telemetry, stray]
    assert line.sent.empty()
