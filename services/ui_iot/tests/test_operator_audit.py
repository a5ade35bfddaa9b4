"""Operators search and take away the audit log of all tenants as a tenant does its own, and each tenant is told."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.operator import Person
from services.ui_iot.tests.rig import NOW
from services.ui_iot.tests.test_audit_trail import add

from pulse_common.audit_rows import FIELDS
from ui_iot.audit_search import EXPORT_AT_ONCE, PAGE_SIZE

if TYPE_CHECKING:
    from services.ui_iot.tests.rig import Rig

pytestmark = pytest.mark.anyio


async def found(who: Person, **query: str) -> list[dict[str, Any]]:
    answer = await who.get("/audit", **query)
    assert answer.status_code == 200, answer.text
    lines: list[dict[str, Any]] = answer.json()["lines"]
    return lines


def looks(rig: Rig, tenant: UUID, who: Person) -> int:
    row = rig.superuser.execute(
        "SELECT count(*) FROM audit_log WHERE tenant_id = %s AND actor_id = %s AND action = 'operator.read'",
        [tenant, who.subject],
    ).fetchone()
    assert row is not None
    return int(row[0])


async def test_each_filter_narrows_the_search_over_all_tenants(rig: Rig, acme: UUID) -> None:
    olivia, globex, run = Person(rig, "operator"), rig.tenant("Globex"), uuid4().hex
    add(rig, acme, object=f"a-{run}", reason=f"moved {run}", actor=f"alice-{run}")
    add(rig, globex, object=f"b-{run}", outcome="denied", action="certificate.hold", reason=run)

    async def objects(**query: str) -> list[str]:
        span = {"since": (NOW - timedelta(hours=1)).isoformat()}
        return [line["object_id"] for line in await found(olivia, **{**span, **query})]

    assert sorted(await objects(text=run)) == [f"a-{run}", f"b-{run}"]
    assert await objects(text=run, tenant_id=str(globex)) == [f"b-{run}"]
    assert await objects(text=f"moved {run}") == [f"a-{run}"]
    assert await objects(actor_id=f"alice-{run}") == [f"a-{run}"]
    assert await objects(action="certificate.hold", tenant_id=str(globex)) == [f"b-{run}"]
    assert await objects(outcome="denied", text=run) == [f"b-{run}"]
    assert await objects(object_id=f"a-{run}") == [f"a-{run}"]
    assert await objects(text=run, until=(NOW - timedelta(minutes=30)).isoformat()) == []


async def test_pages_meet_every_row_once_and_each_tells_the_tenants_on_it(rig: Rig) -> None:
    olivia, tenant = Person(rig, "operator"), rig.tenant("Globex")
    add(rig, tenant, PAGE_SIZE * 2 + 5, actor=(actor := uuid4().hex))
    seen: list[str] = []
    query = {"actor_id": actor}

    while True:
        page = (await olivia.get("/audit", **query)).json()
        seen += [line["audit_id"] for line in page["lines"]]
        if page["next_after"] is None:
            break
        query["after"] = page["next_after"]

    assert len(seen) == len(set(seen)) == PAGE_SIZE * 2 + 5
    assert looks(rig, tenant, olivia) == 3


async def test_line_has_every_field_of_the_event(rig: Rig, acme: UUID) -> None:
    add(rig, acme, object=(mark := uuid4().hex))

    (line,) = await found(Person(rig, "operator"), object_id=mark)

    assert set(line) == set(FIELDS)
    assert (line["tenant_id"], line["after"]) == (str(acme), {"name": "Lamp"})


async def test_exports_hold_every_row_in_each_form_and_are_recorded(rig: Rig, acme: UUID) -> None:
    olivia, rows = Person(rig, "operator"), EXPORT_AT_ONCE + 10
    add(rig, acme, rows, actor=(actor := uuid4().hex))

    async def export(form: str) -> str:
        answer = await olivia.get("/audit/export", format=form, actor_id=actor)
        assert answer.status_code == 200
        assert "attachment" in answer.headers["content-disposition"]
        return answer.text

    table = list(csv.DictReader(io.StringIO(await export("csv"))))
    lines = [json.loads(line) for line in (await export("jsonl")).splitlines()]
    events = [json.loads(line) for line in (await export("ocsf")).splitlines()]

    assert len(table) == len(lines) == len(events) == rows
    assert {event["metadata"]["tenant_uid"] for event in events} == {str(acme)}
    recorded = rig.superuser.execute(
        "SELECT details ->> 'format' FROM audit_log WHERE action = 'audit.export' AND actor_id = %s ORDER BY at",
        [olivia.subject],
    ).fetchall()
    assert recorded == [("csv",), ("jsonl",), ("ocsf",)]
    assert looks(rig, acme, olivia) >= 6


async def test_export_needs_a_recent_log_in_a_reason_and_an_operator(rig: Rig, acme: UUID) -> None:
    stale = Person(rig, "operator", auth_time=int(NOW.timestamp()) - 3600)
    silent = Person(rig, "operator")
    del silent.headers["operator-reason"]
    alice = Person(rig, "tenant-admin", tenant_id=str(acme))

    refused = [(await who.get("/audit/export")).status_code for who in (stale, silent, alice)]

    assert refused == [401, 400, 403]


async def test_cursor_or_filter_that_cannot_be_read_is_refused(rig: Rig) -> None:
    olivia = Person(rig, "operator")

    for query in ({"after": "x"}, {"tenant_id": "acme"}, {"since": "yesterday"}, {"outcome": "x"}):
        assert (await olivia.get("/audit", **query)).status_code == 400


async def test_page_shows_filters_and_leads_to_older_lines_and_to_files(rig: Rig) -> None:
    tenant = rig.tenant("Globex")
    add(rig, tenant, PAGE_SIZE + 1, reason="<script>alert(1)</script>")
    claims = {"sub": str(uuid4()), "tenant_id": ..., "realm_access": {"roles": ["operator"]}}
    browser = await rig.log_in(rig.browser(), **claims)
    await browser.page("/operator/reason")
    await browser.submit("/operator/reason", reason="ticket 12", next="/operator/audit")

    page = (
        await browser.page(f"/operator/audit?tenant_id={tenant}&outcome=&action=device.rename")
    ).text
    file = await browser.page(f"/operator/audit/export?format=csv&tenant_id={tenant}")

    assert page.count('data-testid="audit-row"') == PAGE_SIZE
    assert "&lt;script&gt;" in page
    assert f"tenant_id={tenant}&amp;action=device.rename&amp;after=" in page
    assert len(file.text.splitlines()) > PAGE_SIZE
