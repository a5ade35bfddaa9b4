"""A tenant takes everything of its own with it, and nothing else: also when it is about to be deleted."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.archives import Taken, read
from services.ui_iot.tests.operator import Person
from services.ui_iot.tests.rig import HTML, NOW, Browser, Rig
from tests.isolation_rows import plant

from pulse_common.errors import Conflict, TooMany
from ui_iot.archive_seats import MOST_AT_ONCE, ArchiveSeats
from ui_iot.archive_store import MOST_BYTES, MOST_ROWS
from ui_iot.archive_tables import LEFT_OUT, TABLES
from ui_iot.own_archive import NAMES

if TYPE_CHECKING:
    import psycopg

pytestmark = pytest.mark.anyio
ARCHIVE = "/api/v2/archive"
MANY = 2 * MOST_ROWS + 3
_COLUMNS = """
    SELECT c.relname, a.attname
      FROM pg_class c
      JOIN pg_attribute t ON t.attrelid = c.oid AND t.attname = 'tenant_id'
      JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
"""
_READINGS = """
    INSERT INTO telemetry (tenant_id, device_id, ts, message_id, metrics, received_at)
    SELECT %(tenant)s, %(device)s, '2020-01-01Z'::timestamptz + n * interval '1 second', gen_random_uuid(),
           jsonb_build_object('n', n, 'pad', repeat('x', %(pad)s)), now()
      FROM generate_series(1, %(rows)s) n
"""


def add_readings(rig: Rig, tenant: UUID, rows: int, pad: int = 0) -> UUID:
    device = rig.device(tenant)
    values = {"tenant": tenant, "device": device, "rows": rows, "pad": pad}
    rig.superuser.execute(_READINGS, values)
    return device


def set_status(rig: Rig, tenant: UUID, status: str) -> None:
    rig.superuser.execute(
        "UPDATE tenants SET status = %(status)s, purge_after = CASE %(status)s WHEN 'deleting' THEN now() + interval"
        " '7 days' END WHERE tenant_id = %(tenant)s",
        {"status": status, "tenant": tenant},
    )


async def take(browser: Browser, tables: str | None = None) -> Taken:
    answer = await browser.get(ARCHIVE, params={"tables": tables} if tables else None)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-tar"
    assert "attachment" in answer.headers["content-disposition"]
    return read(answer.content)


def exports(superuser: psycopg.Connection, tenant: UUID) -> list[dict[str, object]]:
    found = superuser.execute(
        "SELECT details FROM audit_log WHERE tenant_id = %s AND action = 'tenant.export' ORDER BY at, audit_id",
        [tenant],
    ).fetchall()
    return [row[0] for row in found]


def test_every_table_and_column_of_a_tenant_is_taken_or_left_out_for_a_reason(
    superuser: psycopg.Connection,
) -> None:
    taken = {
        (table.name, column.strip()) for table in TABLES for column in table.columns.split(",")
    }
    found = {(str(table), str(column)) for table, column in superuser.execute(_COLUMNS).fetchall()}

    missing = {
        f"{table}.{column}"
        for table, column in found - taken
        if table not in LEFT_OUT and f"{table}.{column}" not in LEFT_OUT
    }

    assert missing == set(), "say in ui_iot/archive_tables.py whether a tenant takes these with it"
    assert taken <= found


def test_no_hash_and_no_sealed_secret_is_taken() -> None:
    named = {column.strip() for table in TABLES for column in table.columns.split(",")}

    assert {name for name in named if "sealed" in name or name.endswith("_hash")} == set()
    assert {name for name in named if "secret" in name} == {"secrets_need_approval"}


async def test_archive_holds_every_table_and_nothing_of_another_tenant(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    globex = rig.tenant("Globex")
    for table in TABLES:
        for tenant in (acme, globex):
            if table.name != "tenants":
                plant(rig.superuser, table.name, str(tenant))

    taken = await take(alice)

    assert set(taken.tables) == set(NAMES)
    empty = {name for name, rows in taken.tables.items() if not rows} - {"audit_sealed"}
    assert empty == set()
    for name, rows in taken.tables.items():
        if name != "audit_sealed":
            assert {row["tenant_id"] for row in rows} == {str(acme)}, name
    assert str(globex) not in json.dumps(taken.tables)
    assert taken.manifest["complete"] is True


async def test_many_rows_come_in_parts_each_once_and_in_order(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = add_readings(rig, acme, MANY)

    taken = await take(alice, "telemetry")

    rows = taken.tables["telemetry"]
    assert [row["metrics"]["n"] for row in rows] == list(range(1, MANY + 1))
    assert {row["device_id"] for row in rows} == {str(device)}
    assert taken.manifest["tables"]["telemetry"]["parts"] == 3


async def test_part_is_bounded_in_bytes_however_large_rows_are(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    add_readings(rig, acme, 30, pad=300_000)
    add_readings(rig, acme, 2, pad=MOST_BYTES)

    taken = await take(alice, "telemetry")

    sizes = sorted(size for _, size in taken.parts)
    assert len(taken.tables["telemetry"]) == 32
    assert sizes[:-2] == [size for size in sizes if size <= MOST_BYTES]
    assert sizes[-1] < MOST_BYTES + 1000  # one row, and no other beside it


async def test_tenant_that_is_being_deleted_reaches_its_archive_and_nothing_else(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = rig.device(acme, "Lamp")
    set_status(rig, acme, "deleting")

    others = {
        path: (await alice.get(path, headers=HTML)).status_code
        for path in ("/devices", f"/devices/{device}", "/audit", "/access", "/audit/export")
    }
    told = (await alice.get("/devices", headers=HTML)).text
    page = await alice.page("/archive")
    taken = await take(alice)

    assert set(others.values()) == {403}, others
    assert "/archive" in told
    assert (page.status_code, 'data-testid="download"' in page.text) == (200, True)
    assert [row["device_id"] for row in taken.tables["devices"]] == [str(device)]
    assert taken.manifest["status"] == "deleting"


async def test_suspended_tenant_reaches_no_archive_until_it_is_resumed(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    set_status(rig, acme, "suspended")

    paths = (ARCHIVE, "/archive", "/archive/download")
    refused = [(await alice.get(path, headers=HTML)).status_code for path in paths]
    set_status(rig, acme, "active")
    resumed = await take(alice)

    assert refused == [403, 403, 403]
    assert resumed.manifest["complete"] is True


async def test_purged_tenant_and_one_that_is_unknown_have_none(rig: Rig) -> None:
    gone = rig.tenant("Gone")
    browser = await rig.person(gone)
    set_status(rig, gone, "deleted")
    nobody = await rig.person(uuid4())

    assert (await browser.get(ARCHIVE)).status_code == 403
    assert (await browser.page("/archive")).status_code == 403
    assert (await nobody.get(ARCHIVE)).status_code == 403


async def test_archive_needs_an_administrator_and_a_recent_log_in(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    bob = await rig.person(acme, "customer")
    refused = [
        (await bob.get(path)).status_code for path in (ARCHIVE, "/archive", "/archive/download")
    ]

    rig.pass_time(minutes=10)
    stale = await alice.get(ARCHIVE)
    led = await alice.get("/archive/download", headers=HTML)

    assert refused == [403, 403, 403]
    assert (stale.status_code, stale.json()["type"]) == (401, "urn:pulse:problem:step_up_required")
    assert led.headers["location"].startswith("/auth/login?step_up=1")


async def test_taking_it_is_recorded_before_and_after_and_noted(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    await take(alice, "devices, telemetry")
    partly = rig.superuser.execute(
        "SELECT exported_at FROM tenants WHERE tenant_id = %s", [acme]
    ).fetchone()
    await take(alice)
    wholly = rig.superuser.execute(
        "SELECT exported_at FROM tenants WHERE tenant_id = %s", [acme]
    ).fetchone()

    assert (partly, wholly) == ((None,), (NOW,))
    details = exports(rig.superuser, acme)
    assert [row.get("tables") for row in details] == [["devices", "telemetry"], None, "all", None]
    assert [row.get("complete") for row in details] == [None, False, None, True]


async def test_archive_that_breaks_off_has_no_manifest_and_can_be_taken_again(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    add_readings(rig, acme, MANY)
    whole = (await alice.get(ARCHIVE, params={"tables": "telemetry"})).content

    with pytest.raises(Exception, match=r"end of data|not whole|unexpected"):
        read(whole[: len(whole) * 2 // 3])

    assert len((await take(alice, "telemetry")).tables["telemetry"]) == MANY


def test_one_archive_of_a_tenant_and_few_of_all_are_made_at_a_time() -> None:
    seats, tenant = ArchiveSeats(), uuid4()

    with seats.take(tenant):
        with pytest.raises(Conflict):
            seats.require_free(tenant)
        with ExitStack() as others:
            for _ in range(MOST_AT_ONCE - 1):
                seats.require_free(other := uuid4())
                others.enter_context(seats.take(other))
            with pytest.raises(TooMany):
                seats.require_free(uuid4())
        seats.require_free(uuid4())
    seats.require_free(tenant)


async def test_table_that_there_is_none_of_is_refused(alice: Browser) -> None:
    answer = await alice.get(ARCHIVE, params={"tables": "devices,web_sessions"})

    assert (answer.status_code, "web_sessions" in answer.text) == (400, True)


async def test_what_a_tenant_took_itself_lets_an_operator_delete_it_without_looking(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    admin, body = Person(rig), {"name": "Acme", "grace_days": 7}

    before = await admin.post(f"/tenants/{acme}/delete", body)
    await take(alice)
    after = await admin.post(f"/tenants/{acme}/delete", body)
    still = await take(alice, "devices")
    told = rig.superuser.execute(
        "SELECT payload ->> 'path' FROM outbox WHERE tenant_id = %s AND subject = 'pulse.events.notice.raised'",
        [acme],
    ).fetchall()

    assert (before.status_code, after.status_code) == (409, 200)
    assert still.manifest["status"] == "deleting"
    assert told == [("/archive",)]
