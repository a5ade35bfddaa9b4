"""Alerts, their rules and device groups on pages and by API, with stand-ins for the services that own them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import pytest

from pulse_common import events_alerts as calls
from pulse_common import events_groups as groups
from pulse_common.errors import Malformed, NotFound

if TYPE_CHECKING:
    import psycopg
    from services.ui_iot.tests.rig import Browser, Rig

    from pulse_common.bus import Bus

pytestmark = pytest.mark.anyio
NOW = datetime(2026, 3, 1, tzinfo=UTC)
SCRIPT = "<script>alert(1)</script>"
FORM = {"name": "Hot", "kind": "threshold", "scope": "all", "metric": "temp", "direction": "above"}


@dataclass
class Owners:
    """Answers as ingest_worker and provision_api do."""

    superuser: psycopg.Connection
    asked: list[calls.RuleCall | groups.GroupCall] = field(default_factory=list)
    acknowledged: list[calls.AcknowledgeRequest] = field(default_factory=list)
    wanted: list[calls.RuleWanted] = field(default_factory=list)
    refusal: str = ""

    async def serve(self, bus: Bus) -> None:
        await bus.answer(calls.CreateRuleRequest, self.create)
        await bus.answer(calls.ChangeRuleRequest, self.change)
        await bus.answer(calls.DeleteRuleRequest, self.rule_act)
        await bus.answer(calls.AcknowledgeRequest, self.acknowledge)
        await bus.answer(groups.CreateGroupRequest, self.create_group)
        await bus.answer(groups.RenameGroupRequest, self.group_act)
        await bus.answer(groups.ChangeMembersRequest, self.group_act)
        await bus.answer(groups.DeleteGroupRequest, self.group_act)
        await bus.check()

    async def create(self, asked: calls.CreateRuleRequest) -> calls.RuleReply:
        if self.refusal:
            raise Malformed(self.refusal)
        self.wanted.append(asked.wanted)
        add_rule(self.superuser, asked.tenant_id, asked.rule_id, asked.wanted.name)
        return calls.RuleReply(rule_id=asked.rule_id, version=1)

    async def change(self, asked: calls.ChangeRuleRequest) -> calls.RuleReply:
        self.wanted.append(asked.wanted)
        return calls.RuleReply(rule_id=asked.rule_id, version=2)

    async def rule_act(self, asked: calls.DeleteRuleRequest) -> calls.RuleReply:
        self.asked.append(asked)
        return calls.RuleReply(rule_id=asked.rule_id, version=1)

    async def acknowledge(self, asked: calls.AcknowledgeRequest) -> calls.AcknowledgeReply:
        if self.refusal:
            raise NotFound(self.refusal)
        self.acknowledged.append(asked)
        return calls.AcknowledgeReply(alert_id=asked.alert_id, acknowledged_at=NOW)

    async def create_group(self, asked: groups.CreateGroupRequest) -> groups.GroupReply:
        if self.refusal:
            raise Malformed(self.refusal)
        self.asked.append(asked)
        return groups.GroupReply(group_id=asked.group_id, version=1)

    async def group_act(self, asked: groups.GroupCall) -> groups.GroupReply:
        self.asked.append(asked)
        return groups.GroupReply(group_id=asked.group_id, version=2, joined=1)


def add_rule(superuser: psycopg.Connection, tenant: UUID, rule: UUID, name: str = "Hot") -> None:
    superuser.execute(
        "INSERT INTO alert_rules (tenant_id, rule_id, name, kind, metric, direction, raise_at, clear_at, created_at,"
        " watching_since) VALUES (%s, %s, %s, 'threshold', 'temp', 'above', 30, 25, now(), now())"
        " ON CONFLICT DO NOTHING",
        [tenant, rule, name],
    )


def add_alert(superuser: psycopg.Connection, tenant: UUID, *, cleared: bool = False) -> UUID:
    alert = uuid4()
    superuser.execute(
        "INSERT INTO alerts (tenant_id, alert_id, rule_id, rule_name, kind, device_id, metric, value, raised_at,"
        " cleared_at, clear_reason) VALUES (%s, %s, %s, %s, 'threshold', %s, 'temp', 31.5, now(), %s, %s)",
        [
            tenant,
            alert,
            uuid4(),
            SCRIPT,
            uuid4(),
            NOW if cleared else None,
            "recovered" if cleared else None,
        ],
    )
    return alert


def add_group(superuser: psycopg.Connection, tenant: UUID, name: str) -> UUID:
    group = uuid4()
    superuser.execute(
        "INSERT INTO device_groups (tenant_id, group_id, name) VALUES (%s, %s, %s)",
        [tenant, group, name],
    )
    return group


@pytest.fixture
async def owners(rig: Rig) -> Owners:
    made = Owners(rig.superuser)
    await made.serve(rig.bus)
    return made


async def test_what_is_raised_and_what_was_are_shown_to_their_tenant_alone(
    rig: Rig, acme: UUID, alice: Browser
) -> None:
    raised = add_alert(rig.superuser, acme)
    cleared = add_alert(rig.superuser, acme, cleared=True)
    other = uuid4()
    rig.superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'G')", [other])
    add_alert(rig.superuser, other)
    add_rule(rig.superuser, other, uuid4(), "Others' own")

    open_ones = (await alice.get("/api/v2/alerts?state=open")).json()["alerts"]
    closed = (await alice.get("/api/v2/alerts?state=cleared")).json()["alerts"]
    page = await alice.page("/alerts")
    history = await alice.page("/alerts?state=cleared")

    assert [one["id"] for one in open_ones] == [str(raised)]
    assert [one["id"] for one in closed] == [str(cleared)]
    assert page.text.count('data-testid="alert-row"') == 1
    assert "temp: 31.5" in page.text
    assert "Recovered" in history.text
    assert "<script>alert" not in page.text + history.text
    assert "Others" not in page.text


async def test_pages_of_alerts_go_by_cursor(rig: Rig, acme: UUID, alice: Browser) -> None:
    made = {str(add_alert(rig.superuser, acme, cleared=True)) for _ in range(103)}

    first = (await alice.get("/api/v2/alerts")).json()
    second = (await alice.get(f"/api/v2/alerts?after={first['next_after']}")).json()

    assert [len(page["alerts"]) for page in (first, second)] == [100, 3]
    assert {one["id"] for page in (first, second) for one in page["alerts"]} == made
    assert second["next_after"] is None


async def test_an_alert_is_acknowledged_in_the_persons_name(
    rig: Rig, acme: UUID, alice: Browser, owners: Owners
) -> None:
    alert = add_alert(rig.superuser, acme)
    await alice.page("/alerts")

    answer = await alice.submit(f"/alerts/{alert}/acknowledge")

    assert answer.status_code == 303
    [asked] = owners.acknowledged
    assert (asked.tenant_id, asked.alert_id) == (acme, alert)


async def test_a_rule_is_made_once_however_often_its_form_is_sent(
    alice: Browser, owners: Owners
) -> None:
    form = (await alice.page("/alerts/rules/new")).text
    key = re.findall(r'name="key" value="([^"]+)"', form)[0]
    sent = {**FORM, "key": key, "raise_at": "30", "clear_at": "", "hold": "60", "by_mail": "on"}

    answers = [await alice.submit("/alerts/rules", **sent) for _ in range(2)]

    assert [answer.status_code for answer in answers] == [303, 303]
    first, second = owners.wanted
    assert first == second
    assert (first.raise_at, first.clear_at, first.hold_seconds) == (30, None, 60)
    assert (first.by_mail, first.enabled, first.device_ids) == (True, False, [])
    assert (await alice.page("/alerts")).text.count('data-testid="rule-row"') == 1


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"raise_at": "hot"}, "The threshold must be a number"),
        ({"raise_at": "nan"}, "The threshold must be a number"),
        ({"raise_at": "1e999"}, "The threshold must be a number"),
        ({"scope": "nobody"}, "Choose which devices"),
        ({"scope": "group:x"}, "Choose what the form offers"),
        ({"kind": "other"}, "Choose what the form offers"),
    ],
)
async def test_a_form_that_cannot_be_taken_comes_back_as_it_was_filled_in(
    alice: Browser, owners: Owners, wrong: dict[str, str], said: str
) -> None:
    await alice.page("/alerts/rules/new")
    sent = {**FORM, "name": SCRIPT, "key": "k", "raise_at": "30", **wrong}

    answer = await alice.submit("/alerts/rules", **sent)

    assert answer.status_code == 400
    assert said in answer.text
    assert "&lt;script&gt;alert" in answer.text
    assert "<script>alert" not in answer.text
    assert owners.wanted == []


async def test_silence_is_asked_for_in_minutes(alice: Browser, owners: Owners) -> None:
    await alice.page("/alerts/rules/new")

    await alice.submit("/alerts/rules", **{**FORM, "kind": "absence", "silent": "1.5", "key": "s"})

    assert owners.wanted[0].silent_seconds == 90
    assert owners.wanted[0].metric is None


async def test_a_rule_of_several_devices_keeps_them_when_its_form_is_saved(
    rig: Rig, acme: UUID, alice: Browser, owners: Owners
) -> None:
    rule, devices = uuid4(), [uuid4(), uuid4()]
    add_rule(rig.superuser, acme, rule)
    rig.superuser.execute(
        "UPDATE alert_rules SET device_ids = %s WHERE rule_id = %s", [devices, rule]
    )
    page = (await alice.page(f"/alerts/rules/{rule}")).text

    sent = {**FORM, "version": "1", "raise_at": "31", "scope": "as_it_is"}
    await alice.submit(f"/alerts/rules/{rule}", **sent)

    assert "As it is" in page
    assert owners.wanted[0].device_ids == devices


async def test_rules_by_api_are_made_changed_by_version_and_deleted(
    rig: Rig, acme: UUID, owners: Owners
) -> None:
    api, bearer = rig.browser(), rig.bearer(acme)
    body = {"name": "Cold", "kind": "threshold", "metric": "t", "direction": "below", "raise_at": 2}
    made = await api.post("/api/v2/alert-rules", json=body, headers=bearer)
    at = made.headers["location"]
    tag = (await api.get(at, headers=bearer)).headers["etag"]

    old = {**bearer, "if-match": f'"v7-{"0" * 32}"'}
    stale = await api.put(at, json=body, headers=old)
    changed = await api.put(at, json=body, headers={**bearer, "if-match": tag})
    gone = await api.delete(at, headers=bearer)
    unknown = await api.get(f"/api/v2/alert-rules/{uuid4()}", headers=bearer)

    assert (made.status_code, changed.status_code, gone.status_code) == (201, 200, 204)
    assert (stale.status_code, unknown.status_code) == (412, 404)
    assert len(owners.wanted) == 2


async def test_groups_list_their_devices_and_pass_changes_on(
    rig: Rig, acme: UUID, alice: Browser, owners: Owners
) -> None:
    device = rig.device(acme, "Lamp")
    group = add_group(rig.superuser, acme, SCRIPT)
    rig.superuser.execute(
        "INSERT INTO device_group_members VALUES (%s, %s, %s)", [acme, group, device]
    )

    listed = (await alice.get("/api/v2/groups")).json()["groups"]
    inside = (await alice.get(f"/api/v2/groups/{group}/devices")).json()
    page = (await alice.page(f"/groups/{group}")).text
    answers = [
        await alice.submit(f"/groups/{group}/members", leave=str(device)),
        await alice.submit(f"/groups/{group}", name="Roof", version="1"),
        await alice.submit(f"/groups/{group}/delete"),
    ]

    assert [(one["id"], one["devices"]) for one in listed] == [(str(group), 1)]
    assert inside == {"devices": [{"id": str(device), "name": "Lamp"}], "next_after": None}
    assert page.count('data-testid="member-row"') == 1
    assert "<script>alert" not in page
    assert [answer.status_code for answer in answers] == [303] * 3
    assert [asked.rpc.rpartition(".")[2] for asked in owners.asked] == [
        "change_group_members",
        "rename_group",
        "delete_group",
    ]


async def test_another_tenants_group_and_rule_are_not_there(
    rig: Rig, alice: Browser, owners: Owners
) -> None:
    other = uuid4()
    rig.superuser.execute("INSERT INTO tenants (tenant_id, name) VALUES (%s, 'G')", [other])
    group, rule = add_group(rig.superuser, other, "Theirs"), uuid4()
    add_rule(rig.superuser, other, rule)
    await alice.page("/groups")

    answers = [
        await alice.page(f"/groups/{group}"),
        await alice.submit(f"/groups/{group}/delete"),
        await alice.get(f"/api/v2/groups/{group}/devices"),
        await alice.page(f"/alerts/rules/{rule}"),
        await alice.submit(f"/alerts/rules/{rule}/delete"),
        await alice.get(f"/api/v2/alert-rules/{rule}"),
    ]

    assert [answer.status_code for answer in answers] == [404] * 6
    assert owners.asked == []
