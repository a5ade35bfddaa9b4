"""Operators look with a reason, see what tenants let them, and are seen; two of them may break the glass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import pytest
from services.ui_iot.tests.archives import Taken, read
from services.ui_iot.tests.operator import Person
from services.ui_iot.tests.rig import NOW, Browser, Rig

from pulse_common.ids import PLATFORM_TENANT
from ui_iot.archive_tables import TABLES

if TYPE_CHECKING:
    from uuid import UUID

pytestmark = pytest.mark.anyio


ASK = {"kind": "approval", "scopes": ["telemetry"], "ticket": "OPS-1", "seconds": 3600}


def with_state(rig: Rig, tenant: UUID) -> UUID:
    device = rig.device(tenant, "Reactor")
    rig.superuser.execute(
        "INSERT INTO device_last_state (tenant_id, device_id, last_seen_at, ts, metrics)"
        """ VALUES (%s, %s, now(), now(), '{"heat": 7}')""",
        [tenant, device],
    )
    return device


async def access_of(alice: Browser) -> dict[str, Any]:
    response = await alice.get("/api/v2/access")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


async def decide(alice: Browser, grant: str, decision: str) -> int:
    response = await alice.post(
        f"/api/v2/access/grants/{grant}",
        json={"decision": decision},
        headers={"x-csrf-token": alice.csrf},
    )
    return response.status_code


async def test_without_a_reason_nothing_is_read(rig: Rig) -> None:
    olivia = Person(rig, "operator")
    del olivia.headers["operator-reason"]

    answer = await olivia.get("/tenants")

    assert (answer.status_code, "operator-reason" in answer.text) == (400, True)


async def test_search_tells_each_tenant_that_it_touched(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    name = f"Lamp {uuid4()}"
    device = rig.device(acme, name)

    answer = await Person(rig, "operator").get(f"/devices?text={name}")

    assert [found["id"] for found in answer.json()["devices"]] == [str(device)]
    looks = (await access_of(alice))["accesses"]
    assert [(look["purpose"], look["reason"]) for look in looks] == [
        ("search devices", "ticket 12")
    ]


async def test_telemetry_is_seen_only_while_the_tenant_lets_it(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    with_state(rig, acme)
    olivia, oscar = Person(rig, "operator"), Person(rig, "operator")
    states = f"/tenants/{acme}/states"

    refused = await olivia.get(states)
    grant = (await olivia.post(f"/tenants/{acme}/grants", ASK)).json()["id"]
    still_refused = await olivia.get(states)
    approved = await decide(alice, grant, "approve")
    seen = await olivia.get(states)
    another = await oscar.get(states)
    revoked = await decide(alice, grant, "revoke")
    over = await olivia.get(states)

    assert (refused.status_code, still_refused.status_code) == (403, 403)
    assert (approved, revoked) == (200, 200)
    assert [state["metrics"] for state in seen.json()["states"]] == [{"heat": 7}]
    assert (another.status_code, over.status_code) == (403, 403)


async def test_request_that_was_denied_cannot_be_approved(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    grant = (await Person(rig).post(f"/tenants/{acme}/grants", ASK)).json()["id"]

    assert await decide(alice, grant, "deny") == 200
    assert await decide(alice, grant, "approve") == 404


async def test_another_tenants_administrator_decides_nothing(rig: Rig, acme: UUID) -> None:
    mallory = await rig.person(rig.tenant("Globex"))
    grant = (await Person(rig).post(f"/tenants/{acme}/grants", ASK)).json()["id"]

    assert await decide(mallory, grant, "approve") == 404


async def test_glass_needs_four_eyes_and_the_tenant_hears_at_once(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    with_state(rig, acme)
    olivia, oscar = Person(rig, "operator"), Person(rig, "operator")
    body = {**ASK, "kind": "break_glass"}
    grant = (await olivia.post(f"/tenants/{acme}/grants", body)).json()["id"]
    path = f"/tenants/{acme}/grants/{grant}/break-glass"

    by_oneself = await olivia.post(path)
    approved_by_tenant = await decide(alice, grant, "approve")
    by_another = await oscar.post(path)
    seen = await olivia.get(f"/tenants/{acme}/states")
    page = await alice.page("/devices")

    assert (by_oneself.status_code, approved_by_tenant, by_another.status_code) == (409, 404, 200)
    assert seen.status_code == 200
    assert "opened your data without your approval" in page.text
    told = rig.superuser.execute(
        "SELECT payload ->> 'reason' FROM outbox WHERE tenant_id = %s"
        " AND subject = 'pulse.events.operator.break_glass'",
        [acme],
    ).fetchall()
    assert told == [("ticket 12",)]


async def test_glass_that_stays_broken_for_days_is_refused(rig: Rig, acme: UUID) -> None:
    body = {**ASK, "kind": "break_glass", "seconds": 86400}

    assert (await Person(rig).post(f"/tenants/{acme}/grants", body)).status_code == 400


async def test_suspension_shuts_a_tenant_out_and_resuming_lets_it_in(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    admin = Person(rig)
    before = (await alice.get("/api/v2/devices")).status_code

    suspended = await admin.post(f"/tenants/{acme}/suspend")
    during = (await alice.get("/api/v2/devices")).status_code
    again = await admin.post(f"/tenants/{acme}/suspend")
    resumed = await admin.post(f"/tenants/{acme}/resume")
    after = (await alice.get("/api/v2/devices")).status_code

    assert (before, during, after) == (200, 403, 200)
    assert (suspended.json()["tenant"]["status"], again.status_code) == ("suspended", 409)
    assert resumed.json()["tenant"]["status"] == "active"
    told = rig.superuser.execute(
        "SELECT subject FROM outbox WHERE tenant_id = %s ORDER BY position", [acme]
    ).fetchall()
    assert told == [("pulse.events.tenant.suspended",), ("pulse.events.tenant.resumed",)]


async def test_change_needs_a_recent_log_in(rig: Rig, acme: UUID) -> None:
    stale = Person(rig, auth_time=int(NOW.timestamp()) - 3600)

    answer = await stale.post(f"/tenants/{acme}/suspend")

    assert (answer.status_code, answer.json()["type"]) == (
        401,
        "urn:pulse:problem:step_up_required",
    )


async def export(admin: Person, tenant: UUID) -> Taken:
    answer = await admin.post(f"/tenants/{tenant}/export")
    assert answer.status_code == 200, answer.text
    return read(answer.content)


async def test_tenant_goes_only_after_a_complete_export_and_a_grace(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    device = with_state(rig, acme)
    admin = Person(rig)
    delete = f"/tenants/{acme}/delete"
    body = {"name": "Acme", "grace_days": 7}

    incomplete = await export(admin, acme)
    too_early = await admin.post(delete, body)
    wanted = {**ASK, "scopes": ["telemetry", "secrets"]}
    grant = (await admin.post(f"/tenants/{acme}/grants", wanted)).json()["id"]
    await decide(alice, grant, "approve")
    complete = await export(admin, acme)
    misnamed = await admin.post(delete, {**body, "name": "Globex"})
    deleting = await admin.post(delete, body)
    during = (await alice.get("/api/v2/devices")).status_code
    restored = await admin.post(f"/tenants/{acme}/restore")

    assert incomplete.manifest["withheld"] == ["secrets", "telemetry"]
    assert not {"device_last_state", "telemetry", "commands", "device_tokens"} & set(
        incomplete.tables
    )
    assert (complete.manifest["withheld"], complete.manifest["complete"]) == ([], True)
    assert [row["device_id"] for row in complete.tables["device_last_state"]] == [str(device)]
    assert set(complete.tables) == {table.name for table in TABLES}
    assert set(complete.manifest["left_out"]) == {"audit_sealed"}
    assert (too_early.status_code, misnamed.status_code, deleting.status_code) == (409, 400, 200)
    assert (deleting.json()["tenant"]["status"], during) == ("deleting", 403)
    assert restored.json()["tenant"]["status"] == "active"


async def test_tenant_sets_what_it_demands(rig: Rig, acme: UUID, alice: Browser) -> None:
    rig.device(acme, name := f"Lamp {uuid4()}")
    policy = {
        "telemetry_needs_approval": True,
        "secrets_need_approval": True,
        "metadata_needs_approval": True,
        "notice_emails": ["soc@acme.example"],
    }

    answer = await alice.put(
        "/api/v2/access/policy", json=policy, headers={"x-csrf-token": alice.csrf}
    )
    found = await Person(rig).get(f"/devices?text={name}")

    assert answer.json()["policy"] == policy
    assert found.json() == {"devices": []}


async def test_console_asks_why_and_shows_every_page(rig: Rig, acme: UUID) -> None:
    with_state(rig, acme)
    claims = {"sub": str(uuid4()), "tenant_id": ..., "realm_access": {"roles": ["operator-admin"]}}
    browser = await rig.log_in(rig.browser(), **claims)

    led = await browser.page("/devices")
    asked = await browser.page(led.headers["location"])
    await browser.page(asked.headers["location"])
    given = await browser.submit("/operator/reason", reason="ticket 12", next="/operator/tenants")
    pages = {
        path: (await browser.page(path)).status_code
        for path in (
            "/operator/tenants",
            f"/operator/tenants/{acme}",
            "/operator/requests",
            "/operator/devices?text=Reactor",
            "/operator/health",
            "/operator/audit?text=operator",
        )
    }
    readings = await browser.page(f"/operator/tenants/{acme}/telemetry")
    suspended = await browser.submit(f"/operator/tenants/{acme}", act="suspend")

    assert led.headers["location"] == "/operator/tenants"
    assert asked.headers["location"].startswith("/operator/reason?next=")
    assert given.headers["location"] == "/operator/tenants"
    assert set(pages.values()) == {200}, pages
    assert "has not approved this" in readings.text
    assert suspended.status_code == 303


async def test_health_tells_what_of_the_platform_ends_and_nothing_of_a_tenants_devices(
    rig: Rig, acme: UUID
) -> None:
    edge = uuid4()
    for tenant, kind, subject, name, days, left in (
        (PLATFORM_TENANT, "server", edge, "edge", 14, 5),
        (PLATFORM_TENANT, "server", edge, "edge", 7, 5),
        (PLATFORM_TENANT, "list", uuid4(), "Pulse issuing CA", 0, 1),
        (PLATFORM_TENANT, "server", uuid4(), "over", 1, -1),
        (acme, "device", uuid4(), None, 7, 3),
    ):
        rig.superuser.execute(
            "INSERT INTO expiry_warnings (tenant_id, kind, subject_id, days, not_after, warned_at, subject_name)"
            " VALUES (%s, %s, %s, %s, now() + %s * interval '1 day', now(), %s)",
            [tenant, kind, subject, days, left, name],
        )
    claims = {
        "sub": str(uuid4()),
        "tenant_id": ...,
        "realm_access": {"roles": ["operator-admin"]},
    }
    browser = await rig.log_in(rig.browser(), **claims)
    await browser.page("/operator/reason?next=/operator/health")
    await browser.submit("/operator/reason", reason="ticket 12", next="/operator/health")

    told = (await Person(rig).get("/health")).json()["warnings"]
    page = await browser.page("/operator/health")

    assert [(one["kind"], one["name"], one["days"]) for one in told] == [
        ("list", "Pulse issuing CA", 0),
        ("server", "edge", 7),
    ]
    assert page.text.count('data-testid="warning-row"') == 2
    assert "half of its life was over" in page.text
    assert "7 days left" in page.text


async def test_tenants_page_lists_approves_and_saves(rig: Rig, acme: UUID, alice: Browser) -> None:
    grant = (await Person(rig).post(f"/tenants/{acme}/grants", ASK)).json()["id"]

    page = await alice.page("/access")
    approved = await alice.submit(f"/access/grants/{grant}", decision="approve")
    saved = await alice.submit("/access/policy", telemetry="on", emails="a@acme.example")
    wrong = await alice.submit("/access/policy", emails="nonsense")
    access = await access_of(alice)

    assert (page.status_code, "OPS-1" in page.text) == (200, True)
    assert (approved.status_code, saved.status_code, wrong.status_code) == (303, 303, 400)
    assert access["grants"][0]["status"] == "active"
    assert access["policy"]["notice_emails"] == ["a@acme.example"]
    assert access["policy"]["secrets_need_approval"] is False
