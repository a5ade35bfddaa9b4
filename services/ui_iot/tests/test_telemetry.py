"""Readings over time, and what was refused, limited and commanded: for their own tenant alone."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

if TYPE_CHECKING:
    from datetime import datetime

    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio
SCRIPT = "<script>alert(1)</script>"


def read(rig: Rig, tenant: UUID, device: UUID, at: datetime, **metrics: object) -> None:
    rig.superuser.execute(
        "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        [tenant, device, at, uuid4(), json.dumps(metrics), at],
    )


def refuse(rig: Rig, tenant: UUID, device: UUID, payload: bytes, after: int = 0) -> None:
    rig.superuser.execute(
        "INSERT INTO refused_messages (tenant_id, letter_id, device_id, kind, reason, received_at, size_bytes, payload)"
        " VALUES (%s, %s, %s, 'telemetry', 'not_json', %s, 7, %s)",
        [tenant, uuid4(), device, rig.now + timedelta(seconds=after), payload],
    )


def limit(rig: Rig, tenant: UUID, device: UUID | None) -> None:
    bucket = "device_messages" if device else "tenant_messages"
    rig.superuser.execute(
        "INSERT INTO limit_receipts (tenant_id, receipt_id, device_id, bucket, outcome, since, until, refills_at,"
        " messages, bytes) VALUES (%s, %s, %s, %s, 'dropped', %s, %s, %s, 1234, 9)",
        [tenant, uuid4(), device, bucket, rig.now, rig.now, rig.now],
    )


def command(rig: Rig, tenant: UUID, device: UUID, state: str, result: str | None) -> None:
    rig.superuser.execute(
        "INSERT INTO commands (tenant_id, command_id, device_id, name, arguments, actor_id, state, created_at,"
        """ expires_at, result) VALUES (%s, %s, %s, 'blink', '{"times": 3}', 'a', %s, %s, %s, %s)""",
        [tenant, uuid4(), device, state, rig.now, rig.now, result],
    )


def iso(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


async def test_every_reading_is_on_exactly_one_page_also_when_many_have_one_time(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme)
    for number in range(600):
        read(rig, acme, device, rig.now - timedelta(seconds=number // 300), number=number)
    path = f"/api/v2/devices/{device}/readings"

    first = (await alice.get(path)).json()
    second = (await alice.get(path, params={"after": first["next_after"]})).json()

    found = [one for page in (first, second) for one in page["readings"]]
    assert (len(first["readings"]), second["next_after"]) == (500, None)
    assert sorted(one["metrics"]["number"] for one in found) == list(range(600))
    times = [one["ts"] for one in found]
    assert times == sorted(times, reverse=True)


async def test_range_and_metric_choose_readings(rig: Rig, acme: UUID, alice: Browser) -> None:
    device = rig.device(acme)
    read(rig, acme, device, rig.now - timedelta(hours=3), temp=1, on=True)
    read(rig, acme, device, rig.now - timedelta(hours=2), temp=2, on=True)
    read(rig, acme, device, rig.now - timedelta(hours=1), on=False)
    query = {"since": iso(rig.now - timedelta(hours=2)), "until": iso(rig.now), "metric": "temp"}

    answer = await alice.get(f"/api/v2/devices/{device}/readings", params=query)

    assert [one["metrics"] for one in answer.json()["readings"]] == [{"temp": 2}]


async def test_buckets_hold_minimum_average_and_maximum_of_numbers(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme)
    start = rig.now.replace(minute=0, second=0, microsecond=0)
    for minute, value in enumerate([1, 2.5, 1e308, 1e308, "text", True]):
        read(rig, acme, device, start + timedelta(minutes=minute), v=value, other=7)
    query = {
        "metric": "v",
        "bucket_seconds": "120",
        "since": iso(start),
        "until": iso(start + timedelta(hours=1)),
    }

    answer = await alice.get(f"/api/v2/devices/{device}/readings/buckets", params=query)

    assert answer.status_code == 200, answer.text
    low, high = answer.json()["buckets"]
    assert (low["count"], low["minimum"], low["average"], low["maximum"]) == (2, 1, 1.75, 2.5)
    assert (high["count"], high["average"]) == (2, 1e308)


@pytest.mark.parametrize(
    "query",
    [
        "readings?since=yesterday",
        "readings?since=2026-01-01T00:00:00",
        "readings?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z",
        "readings?until=0001-01-01T00:00:00Z",
        "readings?after=x",
        "readings?after=2026-01-01T00:00:00Z_x",
        "readings?metric=a%20b",
        "readings/buckets",
        "readings/buckets?metric=v&bucket_seconds=0",
        "readings/buckets?metric=v&bucket_seconds=1",
        "readings/buckets?metric=v&bucket_seconds=99999999999",
        "readings/export?format=parquet",
        "dead-letters?after=%00",
        "commands?after=1",
    ],
)
async def test_query_that_makes_no_sense_is_refused(
    rig: Rig, acme: UUID, alice: Browser, query: str
) -> None:
    device = rig.device(acme)

    assert (await alice.get(f"/api/v2/devices/{device}/{query}")).status_code == 400


async def test_export_holds_every_value_and_no_formula(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme)
    read(rig, acme, device, rig.now, temp=-1.5, note="=cmd()", on=True)
    for number in range(2500):
        read(rig, acme, device, rig.now - timedelta(seconds=1 + number), number=number)

    exported = await alice.get(f"/api/v2/devices/{device}/readings/export")
    lines = await alice.get(f"/api/v2/devices/{device}/readings/export?format=jsonl")

    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert exported.headers["content-type"].startswith("text/csv")
    assert {row["metric"]: row["value"] for row in rows[:3]} == {
        "temp": "-1.5",
        "note": "'=cmd()",
        "on": "true",
    }
    assert {row["value"] for row in rows[3:]} == {str(number) for number in range(2500)}
    assert len([json.loads(line) for line in lines.text.splitlines()]) == 2501


async def test_what_was_refused_limited_and_commanded_is_seen_by_api_and_on_pages(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device, sibling = rig.device(acme), rig.device(acme)
    refuse(rig, acme, device, SCRIPT.encode())
    refuse(rig, acme, sibling, b"\xff\x00", after=1)
    for whose in (device, None, sibling):
        limit(rig, acme, whose)
    command(rig, acme, device, "failed", SCRIPT)
    root = f"/api/v2/devices/{device}"

    own = (await alice.get(f"{root}/dead-letters")).json()["dead_letters"]
    every = (await alice.get("/api/v2/dead-letters")).json()["dead_letters"]
    limits = (await alice.get(f"{root}/limits")).json()["limits"]
    (sent,) = (await alice.get(f"{root}/commands")).json()["commands"]
    page = await alice.page(f"/devices/{device}/messages")
    whole = await alice.page("/messages")

    assert [one["device_id"] for one in own] == [str(device)]
    assert own[0]["text"].startswith("It is not JSON")
    assert [one["device_id"] for one in every] == [str(sibling), str(device)]
    assert {one["device_id"] for one in limits} == {str(device), None}
    assert (sent["state"], sent["arguments"], sent["result"]) == ("failed", {"times": 3}, SCRIPT)
    assert page.text.count('data-testid="dead-letter"') == 1
    assert page.text.count('data-testid="command"') == 1
    assert page.text.count('data-testid="limit"') == 2
    assert whole.text.count('data-testid="dead-letter"') == 2
    assert whole.text.count('data-testid="limit"') == 3
    assert "1,234 dropped" in whole.text
    assert "<script>alert" not in page.text + whole.text


async def test_dead_letters_come_page_by_page(rig: Rig, acme: UUID, alice: Browser) -> None:
    device = rig.device(acme)
    for number in range(105):
        refuse(rig, acme, device, str(number).encode(), after=number // 50)

    first = (await alice.get("/api/v2/dead-letters")).json()
    after = {"after": first["next_after"]}
    second = (await alice.get("/api/v2/dead-letters", params=after)).json()

    found = [one["letter_id"] for page in (first, second) for one in page["dead_letters"]]
    assert (len(found), len(set(found))) == (105, 105)
    assert second["next_after"] is None


@pytest.mark.parametrize(
    "path",
    [
        "readings",
        "readings/buckets?metric=v",
        "readings/export",
        "dead-letters",
        "limits",
        "commands",
    ],
)
async def test_nothing_of_another_tenants_device_is_there(
    rig: Rig, alice: Browser, path: str
) -> None:
    other = rig.tenant("Globex")
    device = rig.device(other)
    refuse(rig, other, device, b"x")
    limit(rig, other, None)

    assert (await alice.get(f"/api/v2/devices/{device}/{path}")).status_code == 404
    assert (await alice.page(f"/devices/{device}/messages")).status_code == 404
    assert (await alice.get("/api/v2/dead-letters")).json()["dead_letters"] == []
    assert (await alice.get("/api/v2/limits")).json()["limits"] == []
