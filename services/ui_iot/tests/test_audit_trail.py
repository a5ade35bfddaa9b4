"""A tenant's administrators search and take away their own audit log, and nobody else's."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from services.ui_iot.tests.rig import HTML, NOW

from pulse_common.audit_rows import FIELDS
from ui_iot import audit_formats
from ui_iot.audit_search import EXPORT_AT_ONCE, PAGE_SIZE

if TYPE_CHECKING:
    from uuid import UUID

    from services.ui_iot.tests.rig import Browser, Rig

pytestmark = pytest.mark.anyio

INSERT = """
    INSERT INTO audit_log (tenant_id, audit_id, at, actor_kind, actor_id, action, object_kind, object_id, outcome,
                           reason, address, after)
    SELECT %(tenant)s, gen_random_uuid(), %(at)s - n * interval '1 second', 'user', %(actor)s, %(action)s, 'device',
           %(object)s, %(outcome)s, %(reason)s, '192.0.2.1', '{"name": "Lamp"}'
      FROM generate_series(1, %(rows)s) n
"""
AUDIT = "/api/v2/audit"


def add(rig: Rig, tenant: UUID, rows: int = 1, **given: object) -> None:
    usual: dict[str, object] = {
        "actor": "alice",
        "action": "device.rename",
        "object": "lamp-1",
        "outcome": "success",
        "reason": None,
        "at": NOW,
    }
    rig.superuser.execute(INSERT, {**usual, **given, "tenant": tenant, "rows": rows})


async def found(alice: Browser, **query: str) -> list[dict[str, Any]]:
    answer = await alice.get(AUDIT, params=query)
    assert answer.status_code == 200, answer.text
    events: list[dict[str, Any]] = answer.json()["events"]
    return events


async def test_filters_narrow_the_search(rig: Rig, acme: UUID, alice: Browser) -> None:
    add(rig, acme, object="lamp-1", reason="moved to the cellar")
    add(rig, acme, object="lamp-2", actor="bob", outcome="denied", action="certificate.revoke")

    assert [e["object_id"] for e in await found(alice, actor_id="bob")] == ["lamp-2"]
    assert [e["object_id"] for e in await found(alice, outcome="denied")] == ["lamp-2"]
    assert [e["object_id"] for e in await found(alice, action="device.rename")] == ["lamp-1"]
    assert [e["object_id"] for e in await found(alice, object_id="lamp-1")] == ["lamp-1"]
    assert [e["object_id"] for e in await found(alice, text="cellar moved")] == ["lamp-1"]
    assert [e["object_id"] for e in await found(alice, text="lamp-2")] == ["lamp-2"]
    assert await found(alice, text="attic") == []
    assert await found(alice, until=(NOW - timedelta(days=1)).isoformat()) == []


async def test_pages_meet_every_row_once(rig: Rig, acme: UUID, alice: Browser) -> None:
    add(rig, acme, PAGE_SIZE * 2 + 5)
    seen: list[str] = []
    cursor: str | None = None

    while True:
        query = {"action": "device.rename", **({"after": cursor} if cursor else {})}
        page = (await alice.get(AUDIT, params=query)).json()
        seen += [event["audit_id"] for event in page["events"]]
        cursor = page["next_after"]
        if cursor is None:
            break

    assert len(seen) == len(set(seen)) == PAGE_SIZE * 2 + 5


@pytest.mark.parametrize("after", ["x", "2026-01-01_x", "2026-01-01T00:00:00_" + "0" * 36])
async def test_a_cursor_that_is_not_ours_is_refused(alice: Browser, after: str) -> None:
    assert (await alice.get(AUDIT, params={"after": after})).status_code == 400


async def test_another_tenants_rows_are_in_no_answer(rig: Rig, acme: UUID, alice: Browser) -> None:
    add(rig, rig.tenant("Globex"), object="secret-lamp")

    assert await found(alice, object_id="secret-lamp") == []
    for form in ("csv", "jsonl", "ocsf", "sealed"):
        assert "secret-lamp" not in (await alice.get(f"{AUDIT}/export?format={form}")).text
    assert "secret-lamp" not in (await alice.page("/audit")).text


async def test_customers_have_no_audit_log(rig: Rig, acme: UUID) -> None:
    bob = await rig.person(acme, "customer")

    for path in (AUDIT, f"{AUDIT}/export", "/audit", "/audit/export"):
        assert (await bob.get(path)).status_code == 403


async def test_exports_hold_every_row_in_each_form(rig: Rig, acme: UUID, alice: Browser) -> None:
    add(rig, acme, EXPORT_AT_ONCE + 10)

    async def export(form: str) -> str:
        answer = await alice.get(f"{AUDIT}/export?format={form}&action=device.rename")
        assert "attachment" in answer.headers["content-disposition"]
        return answer.text

    table = list(csv.DictReader(io.StringIO(await export("csv"))))
    lines = [json.loads(line) for line in (await export("jsonl")).splitlines()]
    events = [json.loads(line) for line in (await export("ocsf")).splitlines()]

    assert len(table) == len(lines) == len(events) == EXPORT_AT_ONCE + 10
    assert tuple(table[0]) == FIELDS
    assert lines[0]["after"] == {"name": "Lamp"}
    assert [row["audit_id"] for row in table] == [event["metadata"]["uid"] for event in events]


async def test_an_export_needs_a_recent_log_in_and_is_itself_recorded(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    add(rig, acme)
    assert (await alice.get(f"{AUDIT}/export?format=csv")).status_code == 200
    # The database has a clock of its own.
    span = {"since": "2026-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}
    [recorded] = await found(alice, action="audit.export", **span)
    assert recorded["details"] == {"format": "csv"}

    rig.pass_time(minutes=10)
    refused = await alice.get(f"{AUDIT}/export")
    led = await alice.get("/audit/export", headers=HTML)

    assert (refused.status_code, refused.json()["type"]) == (
        401,
        "urn:pulse:problem:step_up_required",
    )
    assert led.headers["location"].startswith("/auth/login?step_up=1")


async def test_the_page_shows_what_was_asked_for_and_escapes_it(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    add(rig, acme, reason="<script>alert(1)</script>", object="lamp-9")

    page = (await alice.page("/audit?object_id=lamp-9&outcome=")).text

    assert page.count('data-testid="audit-row"') == 1
    assert "<script>alert" not in page
    assert 'value="lamp-9"' in page


def test_a_cell_that_spreadsheets_would_run_is_made_harmless() -> None:
    row: dict[str, str | None] = dict.fromkeys(FIELDS)
    row["actor_id"] = '=HYPERLINK("http://evil")'

    [cells] = csv.reader([audit_formats.line("csv", row)])

    assert cells[FIELDS.index("actor_id")] == """'=HYPERLINK("http://evil")"""


@pytest.mark.parametrize(
    ("action", "class_uid", "activity_id"),
    [
        ("session.begin", 3002, 1),
        ("session.end", 3002, 2),
        ("credentials.refuse", 3002, 1),
        ("user.delete", 3001, 6),
        ("device.create", 6003, 1),
        ("page.view", 6003, 2),
        ("certificate.revoke", 6003, 4),
        ("device.command", 6003, 99),
    ],
)
def test_events_are_of_their_ocsf_class(action: str, class_uid: int, activity_id: int) -> None:
    row: dict[str, str | None] = {
        **dict.fromkeys(FIELDS, "x"),
        "action": action,
        "at": "2026-01-01T00:00:00.500000Z",
        "before": None,
        "after": None,
        "details": "{}",
    }

    event = audit_formats.ocsf(row)

    assert event["type_uid"] == class_uid * 100 + activity_id
    assert event["time"] == 1767225600500
    assert event["category_uid"] == class_uid // 1000
