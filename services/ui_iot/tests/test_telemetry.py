"""Readings over time, and what was refused, limited and commanded: for their own tenant alone."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from datetime import UTC, datetime, timedelta
from random import random
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from arro3.io import read_parquet

from pulse_common.errors import Unavailable
from ui_iot import parquet_export

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from arro3.core import RecordBatch
    from services.ui_iot.tests.rig import Browser, Rig

    from pulse_common.tenancy import Row

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
    for _ in range(10):  # what arrives between two pages moves none
        read(rig, acme, device, rig.now, number=-1)
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
        "readings/export?format=xml",
        "dead-letters?after=%00",
        "commands?after=1",
    ],
)
async def test_query_that_makes_no_sense_is_refused(
    rig: Rig, acme: UUID, alice: Browser, query: str
) -> None:
    device = rig.device(acme)

    assert (await alice.get(f"/api/v2/devices/{device}/{query}")).status_code == 400


@pytest.mark.parametrize(
    "query",
    [
        "readings?since=0001-01-01T00:00:00%2B23:59",
        "readings?until=9999-12-31T23:59:59-23:59",
        "readings/export?since=0001-01-01T00:00:00Z&until=9999-12-31T23:59:59.999999Z",
        "readings?after=0001-01-01T00:00:00%2B23:59_11111111-1111-4111-8111-111111111111",
        "commands?after=9999-12-31T23:59:59-23:59_11111111-1111-4111-8111-111111111111",
    ],
)
async def test_no_time_is_too_far_away_to_ask_for(
    rig: Rig, acme: UUID, alice: Browser, query: str
) -> None:
    device = rig.device(acme)

    answer = await alice.get(f"/api/v2/devices/{device}/{query}")

    assert answer.status_code in {200, 400}, answer.text


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


async def test_a_parquet_export_holds_every_value_in_the_column_of_its_type(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme)
    at = rig.now - timedelta(seconds=1)
    read(rig, acme, device, at, temp=20.5, on=True, text="=1+1 ß", whole=3)
    path = f"/api/v2/devices/{device}/readings/export"

    answer = await alice.get(path, params={"format": "parquet"})

    [batch] = list(read_parquet(io.BytesIO(answer.content)))
    names = batch.schema.names
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns(batch), strict=True)]
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert {row["metric"]: (row["number"], row["flag"], row["text"]) for row in rows} == {
        "temp": (20.5, None, None),
        "on": (None, True, None),
        "text": (None, None, "=1+1 ß"),
        "whole": (3.0, None, None),
    }
    assert {row["ts"] for row in rows} == {at}


async def test_a_long_parquet_export_comes_in_parts_and_an_empty_one_is_a_file_too(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device, silent = rig.device(acme), rig.device(acme)
    rig.superuser.execute(
        "INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)"
        " SELECT %s, %s, %s - n * interval '1 ms', gen_random_uuid(),"
        " jsonb_build_object('a', random(), 'b', n), now() FROM generate_series(1, 30000) n",
        [acme, device, rig.now],
    )

    answers = [
        await alice.get(f"/api/v2/devices/{one}/readings/export", params={"format": "parquet"})
        for one in (device, silent)
    ]

    assert answers[1].status_code == 200, answers[1].text
    assert [(a.status_code, a.content[-4:]) for a in answers] == [(200, b"PAR1")] * 2
    rows = [sum(b.num_rows for b in read_parquet(io.BytesIO(a.content))) for a in answers]
    assert rows == [60_000, 0]


async def test_only_so_many_parquet_files_are_made_at_a_time_and_leavers_make_room() -> None:
    async def endless() -> AsyncIterator[Sequence[Row]]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        while True:
            metrics = {str(n): random() for n in range(500)}  # noqa: S311 -- not a secret
            yield [{"ts": now, "received_at": now, "metrics": metrics} for _ in range(100)]

    running = [parquet_export.stream(endless()) for _ in range(parquet_export.MOST_AT_ONCE)]
    for one in running:
        assert await anext(one)
    with pytest.raises(Unavailable):
        await anext(parquet_export.stream(endless()))

    for one in running:
        await one.aclose()

    async with asyncio.timeout(20):
        while True:
            late = parquet_export.stream(endless())
            try:
                assert await anext(late)
            except Unavailable:
                await asyncio.sleep(0.05)
            else:
                break
            finally:
                await late.aclose()


async def test_a_database_that_goes_away_leaves_no_file_that_looks_whole() -> None:
    async def broken() -> AsyncIterator[Sequence[Row]]:
        now = datetime(2026, 1, 1, tzinfo=UTC)
        yield [{"ts": now, "received_at": now, "metrics": {"a": 1.0}}]
        raise Unavailable("the database is away")

    with pytest.raises(Unavailable):
        _ = [part async for part in parquet_export.stream(broken())]


def columns(batch: RecordBatch) -> list[list[object]]:
    found = [batch.column(name) for name in batch.schema.names]
    return [[column[place].as_py() for place in range(batch.num_rows)] for column in found]
